const trusted = Symbol('trusted HTML')

/** Markup that is safe to send: made by `html`, where every value was escaped on its way in. */
export interface Html {
  readonly [trusted]: string
}

export type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[]

const entities: Record<string, string> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'}

/** Text as it may stand between tags or inside a quoted attribute. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, found => entities[found] ?? '')

/**
 * Template tag that escapes every value unless it is itself `Html`; lists are joined, undefined and false vanish.
 * Attributes must be quoted: the escaping is not enough for an unquoted one.
 */
export function html(parts: TemplateStringsArray, ...values: HtmlValue[]): Html {
  const text = parts.reduce((before, part, index) => before + render(values[index - 1]) + part)
  return {[trusted]: text}
}

/** The finished document or fragment as text. */
export const htmlText = (fragment: Html): string => fragment[trusted]

function render(value: HtmlValue): string {
  if (value === undefined || value === false) return ''
  if (typeof value === 'string') return escapeHtml(value)
  if (typeof value === 'number') return String(value)
  return isHtml(value) ? value[trusted] : value.map(render).join('')
}

// JSON cannot carry a symbol, so nothing that was parsed from outside passes for markup.
const isHtml = (value: Html | readonly HtmlValue[]): value is Html => trusted in value
