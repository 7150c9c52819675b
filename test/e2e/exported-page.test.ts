import {writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {pathToFileURL} from 'node:url'
import type {Browser, Page} from 'playwright-core'
import {beforeAll, expect, test} from 'vitest'
import {htmlPage, readCast, readPlayerAssets} from '../../src/lib/recording/index.js'
import {launchChromium} from '../support/chromium.js'
import {atEnd} from '../support/cleanup.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const ESC = '\u001b'
const hostile = '</script><script>window.owned = 1</script><img src=x onerror="window.owned = 2"><!--'

let browser: Browser
let path: string

const cast = [
  {version: 2, width: 60, height: 12, title: `joe: root@db1 ${hostile}`},
  [0.01, 'r', '10000x10000'],
  [0.02, 'r', '70x14'],
  [0.1, 'o', `${ESC}]0;owned${ESC}\\${ESC}[32m$ ${ESC}[0mcat notes\r\n`],
  [0.2, 'o', `${hostile}\r\n`],
  [0.3, 'o', 'wörter \u4f60\u597d \u{1f600}\r\n'],
  [0.35, 'x-bytes', 'c2VjcmV0'],
  [0.5, 'o', `${ESC}[1;7mthe end${ESC}[0m`],
]

beforeAll(async () => {
  browser = await launchChromium()
  path = join(temporaryDirectory(), 'session.html')
  const source = (async function* () {
    yield Buffer.from(`${cast.map(line => JSON.stringify(line)).join('\n')}\n`)
  })()
  let page = ''
  for await (const piece of htmlPage(await readCast(source), {
    assets: await readPlayerAssets(),
    facts: [
      ['User', hostile],
      ['Command', `rm ${ESC}[2J \u202eevil`],
    ],
    remark: `cut short ${hostile}`,
  }))
    page += piece
  writeFileSync(path, page)
  // Installing a browser takes minutes on the first run of a fresh machine.
}, 300_000)

/** The page, with everything that it asks for and everything that its policy refuses. */
async function open(): Promise<{page: Page; requests: string[]; refusals: string[]}> {
  const context = await browser.newContext({viewport: {width: 900, height: 700}})
  const page = await context.newPage()
  const requests: string[] = []
  const refusals: string[] = []
  page.on('request', request => requests.push(request.url()))
  page.on('console', message => message.type() === 'error' && refusals.push(message.text()))
  page.on('pageerror', error => refusals.push(error.message))
  await page.goto(pathToFileURL(path).href)
  return {page, requests, refusals}
}

test('an exported page plays the session and asks for nothing but itself', async () => {
  const {page, requests, refusals} = await open()
  await page.locator('.ap-overlay-start').click()
  await page.locator('.ap-term', {hasText: 'the end'}).waitFor()
  const shown = await page.locator('.ap-term').innerText()
  expect(shown).toContain('cat notes')
  expect(shown).toContain('</script>')
  expect(shown).toContain('wörter')
  if (process.env.SCREENSHOT) await page.screenshot({path: process.env.SCREENSHOT})
  expect(requests).toEqual([pathToFileURL(path).href])
  expect(refusals).toEqual([])
})

test('nothing of a hostile session runs or becomes an element', async () => {
  const {page} = await open()
  expect(await page.evaluate('window.owned')).toBeUndefined()
  expect(await page.locator('img').count()).toBe(0)
  expect(await page.locator('h1').innerText()).toContain('</script>')
  expect(await page.locator('dd', {hasText: 'evil'}).innerText()).toBe('rm \ufffd[2J \ufffdevil')
  const data = await page.locator('#cast').textContent()
  expect(data).toContain('"1000x400"')
  expect(data).not.toMatch(/owned\\u001b|x-bytes|\]0;/)
})

test('its policy lets no script run that is not its own, and nothing be loaded', async () => {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(200, {'access-control-allow-origin': '*'}).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const {page} = await open()
  await page.evaluate(`new Promise(resolve => {
    const script = document.createElement('script')
    script.textContent = 'window.owned = 3'
    document.body.append(script)
    const image = document.createElement('img')
    image.onerror = image.onload = resolve
    image.src = '${url}/beacon'
    document.body.append(image)
  })`)
  expect(await page.evaluate('window.owned')).toBeUndefined()
  await expect(page.evaluate(`fetch('${url}/fetched')`)).rejects.toThrow()
  expect(asked).toEqual([])
})
