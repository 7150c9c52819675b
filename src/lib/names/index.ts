// How things are called and written that every room names: UUIDs, addresses with a port, labels of hosts, hours. Pure.
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
export {DAY_MS, HOUR_MS} from './time.js'
export {isUuid, uuidSource} from './uuid.js'
