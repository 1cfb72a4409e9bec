/**
 * Keeps the process small: what comes from tap lives for milliseconds, and V8 would let it pile up to three times 16 MB for
 * each thread before it looks, and a heap grow to several times of what it holds. How a heap grows is settled before the
 * program begins, so the process begins once more, with the same number; where it can't, it is just larger.
 */
const FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=30']

const { execArgv, execPath, argv } = process
if (!execArgv.includes(FLAGS[0]!))
  process.execve?.(execPath, [execPath, ...execArgv, ...FLAGS, ...argv.slice(1)])
