/** `; did you mean "data"?` for the nearest of `known`, or an empty string if none is near. */
export function didYouMean(found: string, known: readonly string[]): string {
  const nearest = nearestWord(found, known);
  return nearest === undefined ? "" : `; did you mean "${nearest}"?`;
}

/** The one of `known` that is at most two typing errors away, and less than half of the word. */
export function nearestWord(found: string, known: readonly string[]): string | undefined {
  if (found.length > 64) return undefined;
  const ranked = known
    .map((word) => ({ word, distance: editDistance(found, word) }))
    .filter(({ word, distance }) => distance <= 2 && distance * 2 < word.length)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.word;
}

/** Levenshtein distance with adjacent swaps counted once (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const substitution = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, substitution, swap));
    }
  }
  return at(a.length, b.length);
}
