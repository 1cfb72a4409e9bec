import { expect, test, vi } from 'vitest'
import { reasonOf } from '../log.ts'
import { openDatabase } from './database.ts'

test('a libSQL server that does not answer in time: the reason says so', async () => {
  const late = AbortSignal.abort(new DOMException('it took too long', 'TimeoutError'))
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(late)
  const opened = openDatabase({ url: 'http://127.0.0.1:9', authToken: 'secret' }).catch(reasonOf)
  expect(await opened).toContain('it took too long')
  timeout.mockRestore()
})
