import {type CsiSequence, createEscapeParser} from '../../recording/index.js'
import type {TerminalSize} from '../channel/requests.js'

const ESC = '\u001b'

/**
 * Output for an emulator: a host may send counts by which a few bytes keep it busy for minutes. No count beyond the
 * screen's size draws anything else than the size does.
 */
export function boundCounts(text: string, {columns, rows}: TerminalSize): string {
  const most = Math.max(columns, rows)
  let bounded = ''
  const parser = createEscapeParser({
    text(more) {
      bounded += more
    },
    control(character) {
      bounded += character
    },
    escape(intermediates, final) {
      bounded += `${ESC}${intermediates}${final}`
    },
    csi({prefix, parameters, intermediates, final}: CsiSequence) {
      const counts = final === 'm' || final === 'h' || final === 'l' ? parameters : cut(parameters, most)
      bounded += `${ESC}[${prefix}${counts}${intermediates}${final}`
    },
    string: () => undefined,
  })
  parser.push(text)
  return bounded
}

const cut = (parameters: string, most: number): string =>
  parameters
    .split(';')
    .map(value => (Number(value) > most ? String(most) : value))
    .join(';')
