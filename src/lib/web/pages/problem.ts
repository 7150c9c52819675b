import type {SallyportError} from '../../errors/index.js'
import type {HttpProblem} from '../errors.js'
import {html} from '../html.js'
import {commandBlock} from './command.js'
import type {Page} from './layout.js'

/** A refusal as a page: what happened, and the way on. */
export function problemPage({status, error}: HttpProblem, {login}: {login: readonly string[]}): Page {
  if (error.code === 'token_invalid') return deadLinkPage(login)
  return {
    title: titleOf(status),
    body: html`<h1>${titleOf(status)}</h1>
<p class="lede">${sentence(error)}</p>
<p><a href="/">To the front page</a></p>`,
  }
}

// One page for a link that is unknown, used or expired: which of them it is would help only someone who guesses.
const deadLinkPage = (login: readonly string[]): Page => ({
  title: 'This link does not work',
  body: html`<h1>This link does not work</h1>
<p class="lede">Links to set a password work once and expire after a while. This one has been used, has expired, or was not copied whole.</p>
<h2>You have set your password already?</h2>
<p>Then you need no link. Log in from your terminal:</p>
${commandBlock(login)}
<h2>Otherwise</h2>
<p>Ask your administrator for a new link. They make one with:</p>
${commandBlock(['sallyport', 'users', 'reset', 'you'])}`,
})

const titles: Record<number, string> = {
  403: 'This request was refused',
  404: 'Page not found',
  429: 'Too many attempts',
  503: 'Not available right now',
  504: 'Not available right now',
}

const titleOf = (status: number): string =>
  titles[status] ?? (status >= 500 ? 'Something went wrong' : 'This request was not understood')

const sentence = ({message, hint}: SallyportError): string => {
  const text = hint ? `${message}. ${hint.charAt(0).toUpperCase()}${hint.slice(1)}` : message
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
