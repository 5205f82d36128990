/** A list of what `map` makes of `items`, each when its turn comes: so that no more of them are there at a time than are needed. */
export function mapEach<From, To>(items: readonly From[], map: (item: From) => To): Iterable<To> {
  return {
    *[Symbol.iterator]() {
      for (const item of items) yield map(item);
    },
  };
}
