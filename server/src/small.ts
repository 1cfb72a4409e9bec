/**
 * Keeps the process small: what comes from tap lives for milliseconds, and V8 would let it pile up to three times 16 MB for
 * each thread before it looks. Imported first, for a heap that has grown stays so.
 */
import { setFlagsFromString } from 'node:v8'

setFlagsFromString('--max-semi-space-size=4')
