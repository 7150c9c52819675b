// The SSH front of the proxy: lets users in by certificate and leads them to hosts, recorded or relayed.
export type {ServeApi, UserProof} from './context.js'
export type {DialRules} from './dial-policy.js'
export {authApiChannel} from './front.js'
export {type Proxy, type ProxyOptions, startProxy} from './start.js'
