import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {html, htmlText} from '../../../src/lib/web/html.js'

const text = (fragment: ReturnType<typeof html>) => htmlText(fragment)

describe('html', () => {
  it('escapes everything that means something in HTML', () => {
    expect(text(html`<p title="${`"'`}">${'<script>&'}</p>`)).toBe(
      '<p title="&quot;&#39;">&lt;script&gt;&amp;</p>',
    )
  })

  it('keeps its own fragments, joins lists, prints numbers and drops undefined and false', () => {
    const items = ['a<', 'b'].map(item => html`<li>${item}</li>`)
    expect(text(html`<ul>${items}</ul>${0}${undefined}${false}`)).toBe('<ul><li>a&lt;</li><li>b</li></ul>0')
  })

  it('does not take parsed JSON for markup', () => {
    const forged = JSON.parse('{"trusted HTML":"<script>","0":"x","length":1}')
    expect(() => html`${forged}`).toThrow()
  })

  it('never lets a value end its element or its quoted attribute', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary'}), value => {
        expect(text(html`${value}`)).not.toMatch(/[<>"']/)
      }),
    )
  })
})
