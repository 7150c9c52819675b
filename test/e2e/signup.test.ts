import {generateKeyPairSync} from 'node:crypto'
import {once} from 'node:events'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {TOTP} from 'otpauth'
import {pino} from 'pino'
import type {Browser, BrowserContextOptions, Page} from 'playwright-core'
import {beforeAll, describe, expect, it} from 'vitest'
import type {AuthApi} from '../../src/lib/auth/index.js'
import {formatAuthorizedKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {startWeb} from '../../src/lib/web/server.js'
import {startAuthService} from '../support/auth-service.js'
import {launchChromium} from '../support/chromium.js'
import {atEnd} from '../support/cleanup.js'
import {selfSignedPem} from '../unit/web/self-signed.js'

const password = 'correct horse battery staple'
let browser: Browser

// Installing a browser takes minutes on the first run of a fresh machine.
beforeAll(async () => {
  browser = await launchChromium()
}, 300_000)

interface Cluster {
  /** Where the invited user was sent. */
  link: string
  origin: string
  admin: AuthApi
  login(code: string): Promise<{user: string}>
}

/** A cluster that wants one-time codes, and one invited user. */
async function invite(): Promise<Cluster> {
  let origin = ''
  const auth = await startAuthService({secondFactor: 'otp', publicUrl: () => origin})
  const tls = {...(await selfSignedPem()), selfSigned: true}
  const web = await startWeb({
    ...{auth, tls, clusterName: 'test', sshAddress: () => '127.0.0.1:3023', now: Date.now},
    listen: {host: '127.0.0.1', port: 0},
    logger: pino({level: 'silent'}),
  })
  atEnd(() => web.close())
  origin = web.url
  const admin = auth.as({kind: 'admin'})
  const {url} = await admin.createUser({name: 'joe', logins: ['root']})
  const publicKey = formatAuthorizedKey(publicKeyBlob(generateKeyPairSync('ed25519').publicKey))
  const anybody = auth.as({kind: 'anonymous', address: '127.0.0.1'})
  return {
    ...{link: url, origin, admin},
    login: otp => anybody.login({user: 'joe', password, otp, publicKey}),
  }
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

const fill = async (page: Page, again: string, code: string, button = 'Create account'): Promise<void> => {
  await page.getByLabel('New password').fill(password)
  await page.getByLabel('The same password again').fill(again)
  await page.getByLabel('Code shown by the app').fill(code)
  await page.getByRole('button', {name: button}).click()
}

/** What the user's authenticator app shows once it has the key from the page; `later` in seconds from now. */
async function authenticator(page: Page): Promise<(later?: number) => string> {
  const totp = new TOTP({secret: (await page.locator('#secret').textContent()) ?? ''})
  return (later = 0) => totp.generate({timestamp: Date.now() + later * 1000})
}

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
    const {link, origin, login} = await invite()
    const {page, complaints} = await visit(link)
    const code = await authenticator(page)
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('Welcome, joe')
    expect(await page.getByLabel('Account').inputValue()).toBe('joe')

    await fill(page, 'something else', '123456')
    expect(await page.locator('#confirm-error').textContent()).toBe('The two passwords are not the same.')
    expect(await page.getByLabel('New password').inputValue()).toBe('')

    await fill(page, password, '000000')
    expect(await page.locator('#otp-error').textContent()).toContain('This code is not right.')

    await fill(page, password, code())
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('You are set, joe')
    expect(await page.locator('pre').first().textContent()).toBe(
      `sallyport login --proxy=${new URL(origin).host} --user=joe --insecure`,
    )

    await page.goto(link)
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('This link does not work')
    expect(complaints).toEqual([expect.stringContaining('status of 410')])
    // The code of the sign-up is used up; the next one logs in.
    expect(await login(code(30))).toMatchObject({user: 'joe'})
  })

  it('serves a reset of the same user with other words', async () => {
    const {link, admin} = await invite()
    const {url} = await admin.resetUser({name: 'joe'})
    const {page} = await visit(url)
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('Set a new password')
    const code = await authenticator(page)
    await fill(page, password, code(), 'Save new password')
    await page.getByRole('heading', {name: 'You are set, joe'}).waitFor()
    await page.goto(link)
    expect(await page.getByRole('heading', {level: 1}).textContent()).toBe('This link does not work')
  })

  it('can be used with the keyboard alone', async () => {
    const {link} = await invite()
    const {page} = await visit(link)
    const code = await authenticator(page)
    await page.getByLabel('New password').focus()
    await page.keyboard.type(password)
    await page.keyboard.press('Tab')
    await page.keyboard.type(password)
    await page.keyboard.press('Tab')
    expect(await page.locator(':focus').textContent()).toBe('open it on this device')
    await page.keyboard.press('Tab')
    await page.keyboard.type(code())
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
    const code = await authenticator((await visit(link)).page)
    const fields = {password, confirm: password, otp: code()}
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
