import {problem, type SallyportError} from '../../errors/index.js'

/** For somebody whose sessions need company, and who asks for one that shows nothing. */
export const unseenTransfer = (): SallyportError =>
  problem(
    'access_denied',
    'your sessions need somebody who looks on, and a transfer of files shows nothing',
    {hint: 'ask an administrator'},
  )
