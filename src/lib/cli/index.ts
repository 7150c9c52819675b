// What commands are made of: the base command, output, prompts, shared flags. Knows no other room but errors.
export {BaseCommand} from './base-command.js'
export {paint} from './colour.js'
export {
  accessFlags,
  adminFlags,
  agentFlags,
  clientFlags,
  eventFlags,
  formatFlag,
  hostFilterArg,
  hostFlags,
  inviteTtlFlag,
  outFlags,
  sessionFlags,
} from './flags.js'
export {type Format, formats, jsonLine, jsonText, render, renderAll, tableWidth, yamlText} from './output.js'
export {answerAtTerminal, askNewPassword, askOtp, askPassword, confirm, readSecret} from './prompt.js'
export {atDashes} from './remote-argv.js'
export {type Column, table} from './table.js'
export {safe, safeLines, utcTime} from './text.js'
export {type WriteOutOptions, writeOut} from './write-out.js'
