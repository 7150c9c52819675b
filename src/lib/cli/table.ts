import {displayWidth, safe, truncate} from './text.js'

export interface Column<Row> {
  header: string
  /** Plain text; control characters are escaped here. */
  value: (row: Row) => string
  /** Colours a cell after it was measured and escaped. */
  paint?: (text: string, row: Row) => string
  align?: 'left' | 'right'
}

export interface TableOptions {
  /** Cells of the terminal; columns are shortened to fit. Absent: nothing is cut (a file, a pipe). */
  width?: number
  heading?: (text: string) => string
}

const gap = 2
const narrowest = 6

/** Lines of a table with a heading, no trailing blanks, without a final line break. */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  {width, heading = text => text}: TableOptions = {},
): string {
  const cells = rows.map(row => columns.map(column => safe(column.value(row))))
  const natural = columns.map((column, i) =>
    Math.max(displayWidth(column.header), ...cells.map(line => displayWidth(line[i] ?? ''))),
  )
  const widths = width === undefined ? natural : shrink(natural, width)
  const line = (texts: string[], colour: (text: string, i: number) => string): string =>
    texts
      .map((text, i) => {
        const cell = truncate(text, widths[i] ?? 0)
        const padding = ' '.repeat((widths[i] ?? 0) - displayWidth(cell))
        const last = i === texts.length - 1
        if (columns[i]?.align === 'right') return padding + colour(cell, i)
        return colour(cell, i) + (last ? '' : padding)
      })
      .join(' '.repeat(gap))
      .trimEnd()
  return [
    line(
      columns.map(column => column.header),
      heading,
    ),
    ...rows.map((row, r) => line(cells[r] ?? [], (text, i) => columns[i]?.paint?.(text, row) ?? text)),
  ].join('\n')
}

/** Takes cells from the widest column until the line fits, leaving every column a readable rest. */
function shrink(natural: readonly number[], width: number): number[] {
  const widths = [...natural]
  let excess = widths.reduce((sum, cells) => sum + cells, 0) + gap * (widths.length - 1) - width
  while (excess > 0) {
    const widest = Math.max(...widths)
    if (widest <= narrowest) break
    widths[widths.indexOf(widest)] = widest - 1
    excess -= 1
  }
  return widths
}
