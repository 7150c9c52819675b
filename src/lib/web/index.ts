// The HTTPS service: the JSON API that clients log in through, and the pages that people sign up on.
export type {WebPing} from './api.js'
export type {PublicAuth} from './context.js'
export {defaultLimits, type WebLimits} from './limits.js'
export {type StartWebOptions, startWeb, type WebServer} from './server.js'
export {loadTls, type TlsOptions, type WebTls} from './tls.js'
