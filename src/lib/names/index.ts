// How things are called and written that every room names: UUIDs, addresses with a port, labels of hosts. Pure.
export {type Address, formatAddress, hostOfAddress, splitAddress} from './address.js'
export {
  labelNameProblem,
  labelValueProblem,
  maxLabelName,
  maxLabels,
  maxLabelValue,
  parseLabels,
} from './labels.js'
export {nearNames} from './near.js'
export {isUuid, uuidSource} from './uuid.js'
