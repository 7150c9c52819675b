/** `work` for every item, at most `most` at a time; answers in the order of the items. The first failure is thrown. */
export async function mapParallel<T, R>(
  items: readonly T[],
  most: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  const rest = items.entries()
  const worker = async (): Promise<void> => {
    for (const [at, item] of rest) results[at] = await work(item)
  }
  await Promise.all(Array.from({length: Math.min(most, items.length)}, worker))
  return results
}
