import {createHash} from 'node:crypto'
import type {WebScope} from '../context.js'
import {stylesheet} from './style.js'

interface Asset {
  /** Holds a hash of the content, so that a browser may keep it for ever. */
  path: string
  type: string
  content: string
}

const asset = (name: string, extension: string, type: string, content: string): Asset => {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 16)
  return {path: `/web/assets/${name}-${hash}.${extension}`, type, content}
}

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28"><rect width="28" height="28" rx="6" fill="#14594c"/><path d="M6 23V8h3.5v2.5h3V8h3v2.5h3V8H22v15h-4.5v-4a3.5 3.5 0 0 0-7 0v4z" fill="#fff"/></svg>`

export const styleAsset = asset('style', 'css', 'text/css; charset=utf-8', stylesheet)
export const iconAsset = asset('icon', 'svg', 'image/svg+xml', icon)

export function assetRoutes(app: WebScope): void {
  for (const {path, type, content} of [styleAsset, iconAsset]) {
    app.get(path, async (_request, reply) => {
      reply.type(type).header('cache-control', 'public, max-age=31536000, immutable')
      return content
    })
  }
}
