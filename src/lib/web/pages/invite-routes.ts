import type {Invite} from '../../auth/contract.js'
import {problem, SallyportError} from '../../errors/index.js'
import type {WebContext, WebScope} from '../context.js'
import {inviteForm, parseInput, parseToken} from '../input.js'
import {isOwnOrigin} from '../origin.js'
import {loginCommand} from './command.js'
import {donePage, type FieldError, invitePage} from './invite.js'
import {renderPage} from './layout.js'

type TokenRoute = {Params: {token: string}}
type InviteForm = ReturnType<typeof parseInviteForm>
const parseInviteForm = (body: unknown) => parseInput(inviteForm, body)

/** Sign-up and reset: the same link, the same form. */
export function inviteRoutes(app: WebScope, web: WebContext): void {
  const path = '/web/invite/:token'

  app.get<TokenRoute>(path, web.limited('tokens'), async (request, reply) => {
    const token = parseToken(request.params.token)
    const invite = await web.authFor(request).getInvite(token)
    reply.type('text/html; charset=utf-8')
    return renderPage(invitePage(invite, {now: web.now()}), web.clusterName)
  })

  app.post<TokenRoute>(path, web.limited('tokens'), async (request, reply) => {
    if (!isOwnOrigin(request.headers, {publicHost: web.publicHost(), fromProgram: false})) throw foreignForm()
    const token = parseToken(request.params.token)
    const form = parseInviteForm(request.body)
    const auth = web.authFor(request)
    const invite = await auth.getInvite(token)
    reply.type('text/html; charset=utf-8')

    const error =
      fieldErrorOf(form, invite) ??
      (await auth.acceptInvite({token, password: form.password, ...otpOf(form, invite)}).then(
        () => undefined,
        thrown => refusalOf(thrown),
      ))
    if (error) {
      reply.code(422)
      return renderPage(invitePage(invite, {now: web.now(), error}), web.clusterName)
    }
    const insecure = web.selfSigned
    const login = loginCommand({proxy: web.proxyAddress(request), insecure}, invite.user)
    return renderPage(donePage({user: invite.user, login, insecure}), web.clusterName)
  })
}

const foreignForm = (): SallyportError =>
  problem('access_denied', 'this form was not sent from its own page', {
    hint: 'open the link again in a current browser and submit the form there, or use: sallyport signup <link>',
  })

/** Authenticator apps show the code in two groups, and people type the gap. */
const otpOf = (form: InviteForm, invite: Invite): {otp?: string} =>
  invite.otp ? {otp: (form.otp ?? '').replace(/\s/g, '')} : {}

/** What can be told without asking the auth service. */
function fieldErrorOf(form: InviteForm, invite: Invite): FieldError | undefined {
  if (form.password === '') return {field: 'password', message: 'Enter a password.'}
  if (form.password !== form.confirm) {
    return {field: 'confirm', message: 'The two passwords are not the same.'}
  }
  if (invite.otp && !/^\d{6}$/.test(otpOf(form, invite).otp ?? '')) {
    return {field: 'otp', message: 'Enter the six digits that the app shows now.'}
  }
  return undefined
}

/** The auth service's refusal beside the field it is about; anything else is not the form's to show. */
function refusalOf(thrown: unknown): FieldError {
  if (!(thrown instanceof SallyportError)) throw thrown
  if (thrown.code === 'bad_credentials' || thrown.code === 'otp_required') {
    return {field: 'otp', message: 'This code is not right. Enter the one that the app shows now.'}
  }
  if (thrown.code === 'invalid_input') return {field: 'password', message: sentence(thrown)}
  throw thrown
}

const sentence = ({message, hint}: SallyportError): string => {
  const text = hint ? `${message}; ${hint}` : message
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
