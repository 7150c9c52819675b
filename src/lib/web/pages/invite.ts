import type {Invite} from '../../auth/contract.js'
import {type Html, html} from '../html.js'
import {commandBlock} from './command.js'
import type {Page} from './layout.js'
import {qrCode} from './qr.js'

export type InviteField = 'password' | 'confirm' | 'otp'
/** What is wrong, and the field it is said beside. */
export interface FieldError {
  field: InviteField
  message: string
}

const words = {
  invite: {
    title: (user: string) => `Welcome, ${user}`,
    lede: 'You are invited to log in to servers here. Set a password to begin.',
    ledeOtp:
      'You are invited to log in to servers here. Set a password and pair an authenticator app to begin.',
    button: 'Create account',
  },
  reset: {
    title: (_user: string) => 'Set a new password',
    lede: 'Your old password no longer works. Choose a new one to log in again.',
    ledeOtp:
      'Your old password and authenticator no longer work. Choose a new password and pair your authenticator app again.',
    button: 'Save new password',
  },
}

/** The sign-up or reset form; after a refused attempt with its error, and never with what was typed. */
export function invitePage(
  invite: Invite,
  {now, error}: {now: number; error?: FieldError | undefined},
): Page {
  const {title, lede, ledeOtp, button} = words[invite.kind]
  return {
    title: `${error ? 'Error: ' : ''}${title(invite.user)}`,
    body: html`<h1>${title(invite.user)}</h1>
<p class="lede">${invite.otp ? ledeOtp : lede}</p>
${error && html`<div class="notice" role="alert"><p>Nothing is saved yet. Please correct the field marked below and enter your password again.</p></div>`}
<form method="post" autocomplete="on">
<fieldset>
<legend>Password</legend>
<div class="field">
<label for="username">Account</label>
<input id="username" name="username" type="text" value="${invite.user}" autocomplete="username" readonly>
</div>
${field({id: 'password', label: 'New password', type: 'password', autocomplete: 'new-password', hint: 'At least 12 characters. A few unrelated words are easy to remember and hard to guess.', error})}
${field({id: 'confirm', label: 'The same password again', type: 'password', autocomplete: 'new-password', error})}
</fieldset>
${invite.otp && otpFields(invite.otp, error)}
<button type="submit">${button}</button>
</form>`,
    footer: html`<p>This link works once. It expires ${relativeTime(invite.expires, now)}.</p>`,
  }
}

const otpFields = (
  {secret, uri}: {secret: string; uri: string},
  error: FieldError | undefined,
): Html => html`<fieldset>
<legend>Authenticator app</legend>
<div class="pair">
<div class="qr">${qrCode(uri, 'QR code with the key of your authenticator app')}</div>
<div>
<p>Scan the code with an authenticator app${uri.startsWith('otpauth://') && html`, or <a href="${uri}">open it on this device</a>`}.</p>
<p class="hint" id="secret-label">No camera? Enter this key, time-based, 6 digits:</p>
<code class="secret" id="secret" aria-labelledby="secret-label">${(secret.match(/.{1,4}/g) ?? []).map(group => html`<span>${group}</span>`)}</code>
</div>
</div>
${field({id: 'otp', label: 'Code shown by the app', type: 'text', autocomplete: 'one-time-code', hint: 'Six digits, new every 30 seconds.', error})}
</fieldset>`

interface Field {
  id: InviteField
  label: string
  type: 'password' | 'text'
  autocomplete: string
  hint?: string
  error: FieldError | undefined
}

// No maxlength: a browser cuts a pasted password at it without a word.
function field({id, label, type, autocomplete, hint, error}: Field): Html {
  const message = error?.field === id ? error.message : undefined
  const described = [message && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(' ')
  return html`<div class="field">
<label for="${id}">${label}</label>
<input id="${id}" name="${id}" type="${type}" autocomplete="${autocomplete}" required${id === 'otp' && html` class="code" inputmode="numeric" autocapitalize="off" spellcheck="false"`}${described && html` aria-describedby="${described}"`}${message && html` aria-invalid="true"`}${error && id === 'password' && html` autofocus`}>
${message && html`<p class="error" id="${id}-error">${message}</p>`}
${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
</div>`
}

/** The account works: what to type next. */
export function donePage({
  user,
  login,
  insecure,
}: {
  user: string
  login: readonly string[]
  insecure: boolean
}): Page {
  return {
    title: 'You are set',
    body: html`<svg class="tick" viewBox="0 0 44 44" aria-hidden="true" focusable="false"><circle cx="22" cy="22" r="20.5" fill="none" stroke="currentColor" stroke-width="3"/><path d="M13.5 22.5l6 6 11-12" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/></svg>
<h1>You are set, ${user}</h1>
<p class="lede">Your account is ready and this link is used up. Log in from your terminal:</p>
${commandBlock(login)}
${insecure && html`<p class="hint">This proxy has no certificate that your computer trusts yet; <code>--insecure</code> accepts it as you did in this browser. Ask your administrator for its fingerprint if you are unsure.</p>`}
<h2>Then connect</h2>
${commandBlock(['sallyport', 'ssh', 'login@host'])}
<p class="hint">Put the account on the server in place of <code>login</code>. The certificate expires by itself; when it has, log in again.</p>`,
  }
}

const relativeTime = (time: number, now: number): Html => {
  const minutes = Math.max(0, Math.floor((time - now) / 60_000))
  const iso = new Date(time).toISOString()
  const amount =
    minutes < 1
      ? 'in less than a minute'
      : minutes < 120
        ? `in ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}`
        : `in ${Math.floor(minutes / 60)} hours`
  return html`<time datetime="${iso}">${amount} (${iso.slice(0, 16).replace('T', ' ')} UTC)</time>`
}
