/** Being told when a promise settles, with a way to give that up: `then` alone keeps its callback for as long as the promise lives. */
const listeners = new WeakMap<Promise<unknown>, Set<() => void>>();

/** Calls back once the promise is resolved or rejected, unless disposed before. */
export function onSettled(promise: Promise<unknown>, callback: () => void): Disposable {
  const callbacks = listeners.get(promise) ?? listen(promise);
  callbacks.add(callback);
  return { [Symbol.dispose]: () => void callbacks.delete(callback) };
}

function listen(promise: Promise<unknown>): Set<() => void> {
  const callbacks = new Set<() => void>();
  listeners.set(promise, callbacks);
  const tell = (): void => {
    listeners.delete(promise);
    for (const callback of callbacks) callback();
    callbacks.clear();
  };
  promise.then(tell, tell);
  return callbacks;
}
