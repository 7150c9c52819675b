import {create} from 'qrcode'
import {type Html, html} from '../html.js'

/** Modules of white around the code that readers need (ISO/IEC 18004 asks for four). */
const quietZone = 4

/** `text` as a QR code in inline SVG: no image request that could carry or cache a secret, and nothing for CSP to allow. */
export function qrCode(text: string, label: string): Html {
  const {size, data} = create(text, {errorCorrectionLevel: 'M'}).modules
  const side = size + 2 * quietZone
  let path = ''
  for (let index = 0; index < data.length; index++) {
    if (data[index]) path += `M${(index % size) + quietZone} ${Math.floor(index / size) + quietZone}h1v1h-1z`
  }
  return html`<svg viewBox="0 0 ${side} ${side}" role="img" aria-label="${label}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${side}v${side}H0z"/><path fill="#000" d="${path}"/></svg>`
}
