import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stopSignal } from '../../src/bundle/stop-signal.ts'

for (const [text, signal] of [
  [undefined, 'SIGTERM'],
  ['', 'SIGTERM'],
  ['SIGQUIT', 'SIGQUIT'],
  ['quit', 'SIGQUIT'],
  ['sigusr1', 'SIGUSR1'],
  ['SIGPOLL', 'SIGIO'],
  ['CLD', 'SIGCHLD'],
  ['IOT', 'SIGABRT'],
  ['9', '9'],
  ['15', '15'],
  ['64', '64'],
  ['RTMIN', 'SIGRTMIN'],
  ['SIGRTMIN+3', 'SIGRTMIN+3'],
  ['SIGRTMIN+30', 'SIGRTMIN+30'],
  ['rtmax-2', 'SIGRTMAX-2'],
  ['SIGRTMAX', 'SIGRTMAX'],
] as const) {
  test(`the stop signal ${JSON.stringify(text)} is ${signal}`, () => {
    assert.equal(stopSignal(text), signal)
  })
}

for (const text of [
  'SIGFOO',
  'SIG',
  '0',
  '00',
  '65',
  '999',
  '-1',
  '1.5',
  'SIGTERM ',
  'SIG15',
  'SIGRTMIN+31',
  'RTMIN-1',
  'RTMAX+1',
  'RTMAX-31',
  'SIGSIGTERM',
  'TERM\nExecStart=/bin/evil',
]) {
  test(`the stop signal ${JSON.stringify(text)} is refused`, () => {
    const message = `The image's stop signal is ${JSON.stringify(text)}, which is no signal`
    assert.throws(() => stopSignal(text), { code: 'configuration', message })
  })
}
