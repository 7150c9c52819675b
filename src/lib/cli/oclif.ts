// Named here, as a CommonJS package that is bundled has no names when it is imported later.
export {run} from '@oclif/core'
