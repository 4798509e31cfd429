/** What somebody may have meant who typed a command that is not there. Pure. The measure is cobra's: two letters off. */

const FARTHEST = 2;

/** The names that are near, the nearest first. */
export function suggest(typed: string, names: Iterable<string>): string[] {
  const near = [...names].flatMap((name) => {
    const distance = name.startsWith(typed) && typed !== "" ? 0 : distanceOf(typed, name);
    // Of a word of two letters, everything as short is near.
    return distance <= Math.min(FARTHEST, Math.floor(typed.length / 2)) ? [{ name, distance }] : [];
  });
  return near.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1)).map(({ name }) => name);
}

/** How many letters are to be put in, taken out, replaced, or swapped with their neighbour. */
function distanceOf(from: string, to: string): number {
  let before: number[] = [];
  let above = Array.from({ length: to.length + 1 }, (_none, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let least = Math.min(
        (above[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (above[column - 1] as number) + (same ? 0 : 1),
      );
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (row > 1 && column > 1 && swapped) least = Math.min(least, (before[column - 2] as number) + 1);
      current.push(least);
    }
    before = above;
    above = current;
  }
  return above[to.length] as number;
}
