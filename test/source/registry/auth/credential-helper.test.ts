import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { storedCredentials } from '../../../../src/source/registry/auth/credentials.ts'
import { authTree, entry, lookUp, quiet, withHelper } from '../auth-files.ts'

const ann = { user: 'ann', password: 'secret' }
const answering = `cat > "$HOME/asked"; echo "$1" >> "$HOME/asked"; echo '{"ServerURL":"x","Username":"ann","Secret":"secret"}'`
const notFound = 'cat > /dev/null; echo "credentials not found in native keychain"; exit 1'

test('the helper of a registry is asked as its protocol says, before entries', async () => {
  using tree = authTree({
    '/etc/containers/auth.json': {
      credHelpers: { 'registry.example': 'one' },
      auths: { 'registry.example/team': entry('bob', 'other') },
    },
    '/root/x': '',
  })
  const environment = withHelper(tree, 'one', answering)
  const found = await lookUp(tree, 'registry.example/team/app', { environment })
  assert.deepEqual(found, { credentials: ann, place: 'docker-credential-one' })
  assert.equal(readFileSync(tree.path('root/asked'), 'utf8'), 'registry.example\nget\n')
  assert.equal(await lookUp(tree, 'other.example', { environment }), undefined)
})

test('Docker Hub has a name for each tool that may have written the file', async () => {
  for (const [content, asked] of [
    [{ credHelpers: { 'docker.io': 'one' } }, 'docker.io'],
    [{ credHelpers: { 'index.docker.io': 'one' } }, 'https://index.docker.io/v1/'],
    [{ credsStore: 'one' }, 'https://index.docker.io/v1/'],
  ] as const) {
    using tree = authTree({ '/etc/containers/auth.json': content, '/root/x': '' })
    const environment = withHelper(tree, 'one', answering)
    assert.deepEqual((await lookUp(tree, 'docker.io/library/etcd', { environment }))?.credentials, ann)
    assert.equal(readFileSync(tree.path('root/asked'), 'utf8'), `${asked}\nget\n`)
  }
})

test('the helper for everything is asked after entries, and not where the registry is taken out', async () => {
  using tree = authTree({
    '/etc/containers/auth.json': {
      credsStore: 'all',
      credHelpers: { 'out.example': '' },
      auths: { 'one.example': {}, 'two.example': entry('bob', 'other') },
    },
    '/root/x': '',
  })
  const environment = withHelper(tree, 'all', answering)
  assert.deepEqual((await lookUp(tree, 'one.example/a', { environment }))?.credentials, ann)
  assert.deepEqual((await lookUp(tree, 'three.example/a', { environment }))?.credentials, ann)
  assert.equal((await lookUp(tree, 'two.example/a', { environment }))?.place, '/etc/containers/auth.json')
  assert.equal(await lookUp(tree, 'out.example/a', { environment }), undefined)
})

test('a helper may have an identity token, or nothing', async () => {
  using tree = authTree({ '/etc/containers/auth.json': { credsStore: 'one' } })
  for (const [script, credentials] of [
    [`echo '{"Username":"<token>","Secret":"abc"}'`, { identityToken: 'abc' }],
    [`echo '{"Username":"","Secret":""}'`, undefined],
    [notFound, undefined],
  ] as const) {
    const environment = withHelper(tree, 'one', script)
    assert.deepEqual((await lookUp(tree, 'registry.example', { environment }))?.credentials, credentials)
  }
})

test('the helpers of registries.conf are asked in their order, files among them', async () => {
  const conf = (...helpers: string[]) => `credential-helpers = ${JSON.stringify(helpers)}`
  for (const [helpers, place] of [
    [['containers-auth.json', 'one'], '/etc/containers/auth.json'],
    [['one', 'containers-auth.json'], 'docker-credential-one'],
    [['none', 'containers-auth.json'], '/etc/containers/auth.json'],
    [['gone', 'containers-auth.json'], '/etc/containers/auth.json'],
  ] as const) {
    using tree = authTree({
      '/etc/containers/registries.conf': conf(...helpers),
      '/etc/containers/auth.json': { auths: { 'registry.example': entry('ann', 'secret') } },
      '/root/x': '',
    })
    withHelper(tree, 'none', notFound)
    const environment = withHelper(tree, 'one', answering)
    assert.deepEqual(await lookUp(tree, 'registry.example/a', { environment }), { credentials: ann, place })
  }
  using tree = authTree({ '/etc/containers/registries.conf': conf('gone', 'containers-auth.json') })
  const environment = withHelper(tree, 'none', notFound)
  await assert.rejects(lookUp(tree, 'registry.example/a', { environment }), {
    code: 'credentials',
    message: /docker-credential-gone, which registries\.conf names/,
  })
})

test('a helper that does not do its work is one error that names it and tells nothing of what it said', async () => {
  const faults: [string, RegExp][] = [
    ['echo verysecret; exit 3', /failed \(status 3\)/],
    ['echo verysecret >&2; exit 1', /failed \(status 1\)/],
    ['kill -9 $$', /failed \(status 137\)/],
    ['echo verysecret', /not credentials/],
    [`echo '{"Username":"verysecret"}'`, /not credentials/],
    [`echo '{"Username":"ann","Secret":["verysecret"]}'`, /not credentials/],
    [`echo '"verysecret"'`, /not credentials/],
    ['true', /not credentials/],
    ['echo verysecret; exec sleep 60', /took longer than 0\.2 s/],
    ['sleep 60 & exec >&-; wait', /took longer than 0\.2 s/],
    ['exec yes verysecret', /more than 65536 bytes/],
  ]
  using tree = authTree({ '/etc/containers/auth.json': { credHelpers: { 'registry.example': 'odd' } } })
  for (const [script, message] of faults) {
    const environment = withHelper(tree, 'odd', script)
    const started = performance.now()
    // A busy machine needs its time to start a process; only what hangs is to be cut short.
    const helperTimeout = message.source.includes('took longer') ? 200 : 20_000
    await assert.rejects(lookUp(tree, 'registry.example', { environment, helperTimeout }), (error: Error) => {
      assert.match(error.message, /docker-credential-odd \(named in .*\/etc\/containers\/auth\.json\)/)
      assert.match(error.message, message, script)
      assert.doesNotMatch(`${error.stack} ${String(error.cause)} ${JSON.stringify(error)}`, /verysecret/, script)
      return true
    })
    assert.ok(performance.now() - started < 15_000)
  }
})

test('a helper that is not there, or whose name cannot be, is an error', async () => {
  for (const [name, message] of [
    ['gone', /docker-credential-gone, which .*auth\.json names for registry\.example, is not installed/],
    ['../../bin/sh', /names a credential helper that cannot be/],
    ['a b', /cannot be/],
  ] as const) {
    using tree = authTree({ '/etc/containers/auth.json': { credHelpers: { 'registry.example': name } } })
    const environment = withHelper(tree, 'other', answering)
    await assert.rejects(lookUp(tree, 'registry.example', { environment }), { code: 'credentials', message, hint: /./ })
  }
})

test('an interrupted command does not wait for a helper, and leaves none behind', async () => {
  using tree = authTree({ '/etc/containers/auth.json': { credsStore: 'slow' }, '/root/x': '' })
  const environment = withHelper(tree, 'slow', 'echo $$ > "$HOME/pid"; sleep 60')
  const { context, controller } = quiet()
  const looking = storedCredentials({ ...tree.place, environment })({ domain: 'registry.example', path: '' }, context)
  const refused = assert.rejects(looking, { code: 'interrupted' })
  const pid = await written(tree.path('root/pid'))
  controller.abort()
  await refused
  await gone(pid)
})

async function written(path: string): Promise<number> {
  for (;;) {
    try {
      const pid = Number(readFileSync(path, 'utf8'))
      if (pid > 0) return pid
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    await sleep(5)
  }
}

/** Waits until no process has the id. */
async function gone(pid: number): Promise<void> {
  for (let waited = 0; waited < 5_000; waited += 5) {
    try {
      process.kill(pid, 0)
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH')
      return
    }
    await sleep(5)
  }
  assert.fail(`process ${pid} is still there`)
}
