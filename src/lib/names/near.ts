/** The known names that are at most two letters away, the nearest first. Pure. */
export const nearNames = (name: string, known: readonly string[]): string[] =>
  known
    .map(other => ({other, distance: editDistance(name, other)}))
    .filter(({distance}) => distance <= 2)
    .sort((a, b) => a.distance - b.distance)
    .map(({other}) => other)

/** Levenshtein distance; long strangers are not measured. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Number.POSITIVE_INFINITY
  let row = Array.from({length: b.length + 1}, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replaced))
    }
    row = next
  }
  return row[b.length] ?? 0
}
