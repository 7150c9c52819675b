import {once} from 'node:events'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {TOTP} from 'otpauth'
import type {Browser, BrowserContextOptions, Page} from 'playwright-core'
import {beforeAll, describe, expect, it} from 'vitest'
import {problem} from '../../src/lib/errors/index.js'
import {startWeb} from '../../src/lib/web/server.js'
import {launchChromium} from '../support/chromium.js'
import {atEnd} from '../support/cleanup.js'
import {anInvite, fakeAuth, secret, webOptions} from '../unit/web/fixture.js'
import {selfSignedPem} from '../unit/web/self-signed.js'

const password = 'correct horse battery staple'
let browser: Browser

// Installing a browser takes minutes on the first run of a fresh machine.
beforeAll(async () => {
  browser = await launchChromium()
}, 300_000)

/** A cluster with one invited user, and the link he was sent. */
async function invite(): Promise<{link: string; origin: string}> {
  const auth = fakeAuth({
    async acceptInvite({token, otp}) {
      const known = auth.invites.get(token)
      if (!known) throw problem('token_invalid', 'the link is unknown, used or expired')
      if (new TOTP({secret}).validate({token: otp ?? '', window: 1}) === null)
        throw problem('bad_credentials', 'the code is wrong')
      auth.invites.delete(token)
      return {user: known.user}
    },
  })
  auth.invites.set('t0ken', anInvite())
  const {selfSigned: _derived, ...options} = webOptions(auth)
  const tls = {...(await selfSignedPem()), selfSigned: true}
  const web = await startWeb({...options, tls, listen: {host: '127.0.0.1', port: 0}})
  atEnd(() => web.close())
  return {link: `${web.url}/web/invite/t0ken`, origin: web.url}
}

/** A page as a user without JavaScript sees it, and what the browser complained about. */
async function visit(
  link: string,
  options: BrowserContextOptions = {},
): Promise<{page: Page; complaints: string[]}> {
  const context = await browser.newContext({ignoreHTTPSErrors: true, javaScriptEnabled: false, ...options})
  context.setDefaultTimeout(10_000)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', message => {
    // A form with an error is answered with 422, which the browser logs as a failed load.
    if (!message.text().includes('status of 422')) complaints.push(message.text())
  })
  await page.goto(link)
  return {page, complaints}
}

const fill = async (page: Page, again: string, code: string): Promise<void> => {
  await page.getByLabel('New password').fill(password)
  await page.getByLabel('The same password again').fill(again)
  await page.getByLabel('Code shown by the app').fill(code)
  await page.getByRole('button', {name: 'Create account'}).click()
}

const shownCode = async (page: Page): Promise<string> =>
  new TOTP({secret: (await page.locator('#secret').textContent()) ?? ''}).generate()

/** Another site, with `html` on its one page. */
async function otherSite(html: string): Promise<string> {
  const server = createServer((_request, reply) => reply.setHeader('content-type', 'text/html').end(html))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

describe('the sign-up page in a browser', () => {
  it('leads from the link to the login command, past a mismatch and a wrong code', async () => {
    const {link, origin} = await invite()
    const {page, complaints} = await visit(link)
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('Welcome, joe')
    expect(await page.getByLabel('Account').inputValue()).toBe('joe')

    await fill(page, 'something else', '123456')
    expect(await page.locator('#confirm-error').textContent()).toBe('The two passwords are not the same.')
    expect(await page.getByLabel('New password').inputValue()).toBe('')

    await fill(page, password, '000000')
    expect(await page.locator('#otp-error').textContent()).toContain('This code is not right.')

    await fill(page, password, await shownCode(page))
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('You are set, joe')
    expect(await page.locator('pre').first().textContent()).toBe(
      `sallyport login --proxy=${new URL(origin).host} --user=joe --insecure`,
    )

    await page.goto(link)
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('This link does not work')
    expect(complaints).toEqual([expect.stringContaining('status of 410')])
  })

  it('can be used with the keyboard alone', async () => {
    const {link} = await invite()
    const {page} = await visit(link)
    const code = await shownCode(page)
    await page.getByLabel('New password').focus()
    await page.keyboard.type(password)
    await page.keyboard.press('Tab')
    await page.keyboard.type(password)
    await page.keyboard.press('Tab')
    expect(await page.locator(':focus').textContent()).toBe('open it on this device')
    await page.keyboard.press('Tab')
    await page.keyboard.type(code)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', {name: 'You are set, joe'}).waitFor()
  })

  it('shows a QR code that is square, on white in the dark, and named for those who cannot see it', async () => {
    const {link} = await invite()
    const {page} = await visit(link, {colorScheme: 'dark', javaScriptEnabled: true})
    const qr = page.getByRole('img', {name: 'QR code with the key of your authenticator app'})
    const box = await qr.boundingBox()
    expect(box?.width).toBe(box?.height)
    expect(box?.width).toBeGreaterThan(150)
    const colours = await page.evaluate(
      "['body', '.qr'].map(found => getComputedStyle(document.querySelector(found)).backgroundColor)",
    )
    expect(colours).toEqual(['rgb(18, 23, 24)', 'rgb(255, 255, 255)'])
  })

  it.each([320, 1280])('fits a screen %i pixels wide', async width => {
    const {link, origin} = await invite()
    const {page, complaints} = await visit(link, {viewport: {width, height: 700}, javaScriptEnabled: true})
    for (const address of [link, origin, `${link}x`, `${origin}/nothing`]) {
      await page.goto(address)
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    }
    expect(complaints.filter(text => !/status of 4(04|10)/.test(text))).toEqual([])
  })
})

describe('another site in the same browser', () => {
  it('cannot submit the form', async () => {
    const {link} = await invite()
    const code = new TOTP({secret}).generate()
    const fields = {password, confirm: password, otp: code}
    const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`)
    const site = await otherSite(
      `<form method="post" action="${link}">${inputs.join('')}<button>Win</button></form>`,
    )
    const {page} = await visit(site)
    await page.getByRole('button', {name: 'Win'}).click()
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('This request was refused')
    await page.goto(link)
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('Welcome, joe')
  })

  it('cannot frame the page', async () => {
    const {link} = await invite()
    const {page, complaints} = await visit(await otherSite(`<iframe src="${link}"></iframe>`))
    await page.waitForLoadState('load')
    expect(complaints.join()).toMatch(/frame-ancestors|X-Frame-Options/i)
    for (const frame of page.frames()) expect(await frame.content()).not.toContain('Welcome')
  })
})
