/** The words of random container names: a manner and a person who built or understood machines. */

export const MANNERS: readonly string[] = `
able agile alert amber ample apt astute bold breezy bright brisk calm candid careful cheery
civil clear clever cordial crisp curious daring deft eager earnest easy exact fair fearless
fleet fluent frank fresh frugal gentle gifted glad golden graceful handy hardy hearty honest
humble inventive jolly keen kind lively lucid lucky mellow merry mild modest neat nimble noble
patient playful plucky polite prompt proud quick quiet radiant ready sage serene sharp silent
sincere smooth snappy solid spry steady sturdy subtle sunny swift tender tidy tranquil trusty
upbeat valiant vivid warm wise witty zesty
`
  .trim()
  .split(/\s+/);

export const PERSONS: readonly string[] = `
abel allen ampere archimedes aristotle babbage backus banach bartik bell bernoulli bohr boole
brahe brunel cantor carson cauchy cerf church clarke copernicus curie darwin davinci descartes
diffie dijkstra dirac edison einstein engelbart euclid euler faraday fermat fermi feynman floyd
fourier franklin galileo galois gauss germain goldberg goodall hamilton hawking heisenberg
hertz hilbert hodgkin hopper hubble huffman hypatia jennings johnson joule kare kay kepler
kilby knuth kovalevskaya lagrange lamarr lamport laplace leibniz liskov lovelace maxwell
mccarthy mendel mirzakhani moore morse napier nash neumann newton nobel noether noyce ohm
pascal pasteur perlman planck poincare ptolemy ramanujan riemann ritchie rosalind rubin sammet
shannon sinoussi snyder stallman stonebraker tesla thompson torvalds turing volta watt wiles
wilkes wing wozniak wright yalow zuse
`
  .trim()
  .split(/\s+/);
