import {problem} from '../../errors/index.js'
import type {ProxyAddress} from '../address.js'

/** Reads an invite link, `https://proxy[:port]/web/invite/<token>` or `/web/reset/<token>`. @throws invalid_input */
export function parseInviteUrl(text: string): {proxy: ProxyAddress; token: string} {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const token = /^\/web\/(?:invite|reset)\/([A-Za-z0-9_-]{1,200})\/?$/.exec(url?.pathname ?? '')?.[1]
  if (!url || token === undefined || url.protocol !== 'https:' || url.username !== '' || url.hostname === '')
    throw problem('invalid_input', 'this is not an invite link', {
      hint: 'give the whole link, as in https://proxy.example.com:3080/web/invite/…',
    })
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return {proxy: {host, webPort: url.port === '' ? 443 : Number(url.port)}, token}
}
