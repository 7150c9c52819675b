// The ssh-agent protocol: a client over any stream, an in-process agent that lists and signs, and signers over both.
export {type AddRequest, type AgentClient, agentOver, connectAgent} from './client.js'
export {type AgentIdentity, maxIdentities, maxMessageBytes, signFlag} from './codec.js'
export {type AgentEntry, type ServeOptions, serveAgent} from './server.js'
export {agentSigner, isCertificateBlob, signerEntry} from './signer.js'
