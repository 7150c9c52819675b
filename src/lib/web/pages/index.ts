// The pages people see in a browser: rendered on the server, no script, one stylesheet.
import type {WebContext, WebScope} from '../context.js'
import {assetRoutes} from './assets.js'
import {homeRoutes} from './home.js'
import {inviteRoutes} from './invite-routes.js'

export {loginCommand} from './command.js'
export {renderPage} from './layout.js'
export {problemPage} from './problem.js'

export function pageRoutes(app: WebScope, web: WebContext): void {
  assetRoutes(app)
  homeRoutes(app, web)
  inviteRoutes(app, web)
}
