// What can be spoken inside a socket: DDP to the sample app, a plain echo to sockjs-backend.mjs.
import { Ddp } from './ddp.mjs';
import { Echo } from './echo.mjs';

export const speakers = { ddp: Ddp, echo: Echo };
