import assert from 'node:assert/strict'
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { readSettings } from '../../../src/config/settings.ts'
import { currentLogin, type LoginRequest, login, type Prompt } from '../../../src/operations/access/login.ts'
import { logout } from '../../../src/operations/access/logout.ts'
import type { Context } from '../../../src/operations/context.ts'
import { authTree, entry, quiet, withHelper } from '../../source/registry/auth-files.ts'
import type { TestTree } from '../../source/registry/containers-files.ts'
import { type Handler, serve } from '../../source/registry/server.ts'

const file = 'run/containers/0/auth.json'
const ann = { user: 'ann', password: 'sec:ret' }

/** A registry of which these users are. */
function closed(...users: { user: string; password: string }[]): Handler {
  const headers = users.map(({ user, password }) => `Basic ${btoa(`${user}:${password}`)}`)
  return ({ headers: { authorization = '' } }, response) => {
    if (headers.includes(authorization)) return void response.end('{}')
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
  }
}

function contextOf() {
  const { context, events } = quiet()
  const whole = { ...context, version: '1', settings: readSettings() } as Partial<Context> as Context
  return { context: whole, events }
}

function loggingIn(tree: TestTree, request: Omit<LoginRequest, 'host'>, environment = tree.place.environment) {
  return login({ ...request, host: { ...tree.place, environment } }, contextOf().context)
}

function loggingOut(tree: TestTree, registry: string | undefined, authfile?: string) {
  return logout({ registry, authfile, host: tree.place }, contextOf().context)
}

function read(tree: TestTree, path = file): unknown {
  return JSON.parse(readFileSync(tree.path(path), 'utf8'))
}

/** Helper that keeps what it is told in a file, and forgets it again. */
const keeping = `case $1 in
  store) cat > "$HOME/kept" ;;
  get) cat > /dev/null; test -f "$HOME/kept" && cat "$HOME/kept" || { echo credentials not found in native keychain; exit 1; } ;;
  erase) cat > "$HOME/erased"; test -f "$HOME/kept" && rm "$HOME/kept" || { echo credentials not found in native keychain; exit 1; } ;;
esac`

test('what a registry takes is kept, for its owner alone, where podman looks', async () => {
  await using server = await serve(closed(ann))
  using tree = authTree({})
  const result = await loggingIn(tree, { registry: server.host, ...ann })
  assert.deepEqual(result, { registry: server.host, user: 'ann', place: tree.path(file), known: false })
  assert.deepEqual(read(tree), { auths: { [server.host]: entry('ann', 'sec:ret') } })
  assert.equal(statSync(tree.path(file)).mode & 0o7777, 0o600)
  assert.equal(statSync(tree.path('run/containers/0')).mode & 0o7777, 0o700)
})

test('what a registry does not take is not kept', async () => {
  await using server = await serve(closed(ann))
  using tree = authTree({ [file]: { auths: {} } })
  const before = lstatSync(tree.path(file))
  const { context, events } = contextOf()
  const request = { registry: server.host, user: 'ann', password: 'verysecret', host: tree.place }
  await assert.rejects(login(request, context), (error: Error & { code: string }) => {
    assert.equal(error.code, 'unauthorized')
    assert.match(error.message, /does not take the user 'ann'/)
    assert.doesNotMatch(`${error.stack} ${JSON.stringify(events)}`, /verysecret/)
    return true
  })
  assert.deepEqual(lstatSync(tree.path(file)), before)
})

test('a registry that is not there, or speaks no TLS, is one error, and nothing is kept', async () => {
  using tree = authTree({})
  const gone = await serve(closed(ann))
  await gone[Symbol.asyncDispose]()
  await assert.rejects(loggingIn(tree, { registry: gone.host, ...ann }), {
    name: 'ForerunError',
    code: 'registry',
    message: `${gone.host} refuses the connection`,
  })
  await using plain = await serve(closed(ann))
  await assert.rejects(loggingIn(tree, { registry: plain.host, tlsVerify: true, ...ann }), {
    name: 'ForerunError',
    code: 'registry',
  })
  assert.equal(existsSync(tree.path(file)), false)
})

test('everything else in the file stays as it is', async () => {
  await using server = await serve(closed(ann))
  const others = {
    auths: { 'other.example': { ...entry('bob', 'x'), email: 'b@c', unknown: [1] }, 'empty.example': {} },
    credHelpers: { 'helped.example': 'one' },
    HttpHeaders: { 'X-Meta': 'é' },
    unknown: { deep: [1, 2, { a: null }] },
  }
  using tree = authTree({ [file]: others })
  await loggingIn(tree, { registry: `${server.host}/team/sub`, ...ann })
  const auths = { ...others.auths, [`${server.host}/team/sub`]: entry('ann', 'sec:ret') }
  assert.deepEqual(read(tree), { ...others, auths })
  await loggingOut(tree, `${server.host}/team/sub`)
  assert.deepEqual(read(tree), others)
})

test('a named file is made with its directory, a link to a file stays one', async () => {
  await using server = await serve(closed(ann))
  using tree = authTree({ '/dotfiles/auth.json': '', '/root/x': '' })
  const authfile = tree.path('new/auth.json')
  assert.equal((await loggingIn(tree, { registry: server.host, ...ann, authfile })).place, authfile)
  const link = tree.path('root/auth.json')
  symlinkSync(tree.path('dotfiles/auth.json'), link)
  await loggingIn(tree, { registry: server.host, ...ann, authfile: link })
  assert.ok(lstatSync(link).isSymbolicLink())
  assert.deepEqual(read(tree, 'dotfiles/auth.json'), read(tree, 'new/auth.json'))
  const environment = { ...tree.place.environment, REGISTRY_AUTH_FILE: tree.path('env.json') }
  assert.equal((await loggingIn(tree, { registry: server.host, ...ann }, environment)).place, tree.path('env.json'))
})

test('a file that is malformed or cannot be written is an error and stays as it is', async () => {
  await using server = await serve(closed(ann))
  using tree = authTree({ [file]: '{"auths":{"a":{"auth":"!!"}},' })
  const request = { registry: server.host, ...ann }
  await assert.rejects(loggingIn(tree, request), { code: 'credentials', message: /not JSON/ })
  await assert.rejects(loggingOut(tree, 'other.example'), { code: 'credentials', message: /not JSON/ })
  assert.equal(readFileSync(tree.path(file), 'utf8'), '{"auths":{"a":{"auth":"!!"}},')
  writeFileSync(tree.path('plain'), '')
  const authfile = tree.path('plain/auth.json')
  await assert.rejects(loggingIn(tree, { ...request, authfile }), { code: 'credentials', message: /\(ENOTDIR\)/ })
  mkdirSync(tree.path('folder'))
  const folder = { ...request, authfile: tree.path('folder') }
  await assert.rejects(loggingIn(tree, folder), { code: 'credentials', message: /cannot be read \(EISDIR\)/ })
})

test('who is logged in already is not asked again', async () => {
  await using server = await serve(closed(ann))
  using tree = authTree({ '/etc/containers/auth.json': { auths: { [server.host]: entry('ann', 'sec:ret') } } })
  const result = await loggingIn(tree, { registry: server.host, prompt: silent })
  const place = tree.path('etc/containers/auth.json')
  assert.deepEqual(result, { registry: server.host, user: 'ann', place, known: true })
  const asked = { registry: server.host, host: tree.place }
  assert.deepEqual(await currentLogin(asked, contextOf().context), { registry: server.host, user: 'ann', place })
  await assert.rejects(currentLogin({ ...asked, registry: 'other.example' }, contextOf().context), {
    code: 'credentials',
    message: 'not logged in to other.example',
  })
})

test('what is stored and no longer right is asked for anew, where there is somebody', async () => {
  await using server = await serve(closed(ann))
  using tree = authTree({ [file]: { auths: { [server.host]: entry('ann', 'old') } } })
  await assert.rejects(loggingIn(tree, { registry: server.host }), { code: 'unauthorized' })
  const asked: string[] = []
  const prompt: Prompt = {
    async user(registry) {
      asked.push(registry)
      return 'ann'
    },
    async password(user, registry) {
      asked.push(`${user} ${registry}`)
      return 'sec:ret'
    },
  }
  assert.equal((await loggingIn(tree, { registry: server.host, prompt })).known, false)
  assert.deepEqual(asked, [server.host, `ann ${server.host}`])
  assert.deepEqual(read(tree), { auths: { [server.host]: entry('ann', 'sec:ret') } })
})

test('what is lacking and cannot be asked for is an error, before the registry is reached', async () => {
  using tree = authTree({})
  const registry = '127.0.0.1:1'
  const prompt: Prompt = { user: async () => '', password: async () => '' }
  for (const [request, message] of [
    [{}, /needs a user, and there is no terminal/],
    [{ user: 'ann' }, /needs a password/],
    [{ password: 'x' }, /needs a user/],
    [{ prompt }, /user is empty/],
    [{ user: 'ann', prompt }, /password is empty/],
    [{ user: 'ann', password: '' }, /password is empty/],
    [{ user: 'a:b', password: 'c' }, /no colon/],
  ] as const) {
    await assert.rejects(loggingIn(tree, { registry, ...request }), { code: 'usage', message, hint: /./ })
  }
})

test('a registry is written as in the names of images', async () => {
  using tree = authTree({})
  const ways: [string, string][] = [
    ['registry.example:5000/', 'registry.example:5000'],
    ['https://registry.example/v2/', 'registry.example'],
    ['registry.example/team/sub', 'registry.example/team/sub'],
    ['localhost', 'localhost'],
    ['[::1]:5000', '[::1]:5000'],
    ['index.docker.io', 'docker.io'],
    ['https://index.docker.io/v1/', 'docker.io'],
    ['docker.io/ann', 'docker.io/ann'],
  ]
  for (const [words, key] of ways) {
    await assert.rejects(loggingOut(tree, words), { message: new RegExp(`^not logged in to ${RegExp.escape(key)} by`) })
  }
  const wrong = [
    '',
    'registry',
    'team/app',
    'reg.example/a:b',
    'reg.example/a@sha256',
    'reg.example/A',
    'reg example',
    '/',
  ]
  for (const words of wrong) {
    await assert.rejects(loggingOut(tree, words), { code: 'reference', hint: /HOST/ }, words)
  }
})

test('a helper that the file names keeps the secret, and forgets it', async () => {
  await using server = await serve(closed(ann))
  // Of the helper for everything, which is the same, a part of a registry would be taken.
  const helped = { credHelpers: { [server.host]: 'one' }, credsStore: 'one' }
  using tree = authTree({ [file]: helped, '/root/x': '' })
  const environment = withHelper(tree, 'one', keeping)
  const host = { ...tree.place, environment }
  const place = 'docker-credential-one'
  assert.equal((await loggingIn(tree, { registry: server.host, ...ann }, environment)).place, place)
  assert.deepEqual(read(tree), helped)
  assert.deepEqual(read(tree, 'root/kept'), { ServerURL: server.host, Username: 'ann', Secret: 'sec:ret' })
  const { context } = contextOf()
  assert.equal((await currentLogin({ registry: server.host, host }, context)).place, place)
  const namespace = { registry: `${server.host}/team`, ...ann }
  await assert.rejects(loggingIn(tree, namespace, environment), { code: 'credentials', message: /part of a registry/ })
  const result = await logout({ registry: server.host, host }, context)
  assert.deepEqual(result.removed, [{ registry: server.host, place }])
  await assert.rejects(logout({ registry: server.host, host }, context), { code: 'credentials' })
})

test('a helper for everything keeps the secret, and the file the name alone', async () => {
  await using server = await serve(closed(ann))
  const auths = { [server.host]: entry('ann', 'old'), 'other.example': {} }
  using tree = authTree({ [file]: { credsStore: 'all', auths }, '/root/x': '' })
  const environment = withHelper(tree, 'all', keeping)
  const host = { ...tree.place, environment }
  const place = 'docker-credential-all'
  assert.equal((await loggingIn(tree, { registry: server.host, ...ann }, environment)).place, place)
  assert.deepEqual(read(tree), { credsStore: 'all', auths: { [server.host]: {}, 'other.example': {} } })
  const { removed } = await logout({ registry: server.host, host }, contextOf().context)
  assert.deepEqual(removed, [{ registry: server.host, place }])
  assert.deepEqual(read(tree), { credsStore: 'all', auths: { 'other.example': {} } })
  const part = await loggingIn(tree, { registry: `${server.host}/team`, ...ann }, environment)
  assert.equal(part.place, tree.path(file))
  assert.equal((await currentLogin({ registry: `${server.host}/team/app`, host }, contextOf().context)).user, 'ann')
})

test('of the helpers of registries.conf the first that takes the secret keeps it', async () => {
  await using server = await serve(closed(ann))
  using tree = authTree({
    '/etc/containers/registries.conf': 'credential-helpers = ["gone", "one", "containers-auth.json"]',
    '/root/x': '',
  })
  const environment = withHelper(tree, 'one', keeping)
  const request = { registry: server.host, ...ann }
  assert.equal((await loggingIn(tree, request, environment)).place, 'docker-credential-one')
  withHelper(tree, 'one', 'exit 1')
  assert.equal((await loggingIn(tree, request, environment)).place, tree.path(file))
})

test('a helper that cannot keep the secret is an error, and the file stays as it is', async () => {
  await using server = await serve(closed(ann))
  const content = { credsStore: 'all', auths: { [server.host]: entry('ann', 'old') } }
  using tree = authTree({ [file]: content })
  const environment = withHelper(tree, 'all', 'echo sec:ret; exit 1')
  await assert.rejects(loggingIn(tree, { registry: server.host, ...ann }, environment), (error: Error) => {
    assert.match(error.message, /docker-credential-all .* failed to store/)
    assert.doesNotMatch(String(error.stack), /sec:ret/)
    return true
  })
  assert.deepEqual(read(tree), content)
})

test('logging out forgets one registry in all its spellings, or all', async () => {
  const auths = {
    'https://index.docker.io/v1/': entry('ann', 'a'),
    'docker.io': entry('ann', 'b'),
    'docker.io/team': entry('ann', 'c'),
    'other.example': entry('ann', 'd'),
    'empty.example': {},
  }
  using tree = authTree({ [file]: { auths, kept: 1 } })
  const place = tree.path(file)
  assert.deepEqual((await loggingOut(tree, 'docker.io')).removed, [{ registry: 'docker.io', place }])
  assert.deepEqual(Object.keys((read(tree) as { auths: object }).auths), [
    'docker.io/team',
    'other.example',
    'empty.example',
  ])
  const { removed } = await loggingOut(tree, undefined)
  assert.deepEqual(removed, [
    { registry: 'docker.io/team', place },
    { registry: 'other.example', place },
  ])
  assert.deepEqual(read(tree), { auths: {}, kept: 1 })
  assert.deepEqual((await loggingOut(tree, undefined)).removed, [])
})

test('who is logged in by another file is told which', async () => {
  using tree = authTree({ '/root/.docker/config.json': { auths: { 'registry.example': entry('ann', 'secret') } } })
  const other = tree.path('root/.docker/config.json')
  await assert.rejects(loggingOut(tree, 'registry.example'), {
    code: 'credentials',
    message: new RegExp(`but by ${other}`),
    hint: `Log out there: forerun logout --authfile ${other} registry.example`,
  })
  assert.deepEqual((await loggingOut(tree, 'registry.example', other)).removed, [
    { registry: 'registry.example', place: other },
  ])
})

test('the directory of a session is not made, and one that is no directory is an error', async () => {
  await using server = await serve(closed(ann))
  using tree = authTree({ '/plain': '' })
  const request = { registry: server.host, ...ann }
  for (const [name, message] of [
    ['gone', /there is no directory .*gone, which XDG_RUNTIME_DIR names/],
    ['plain', /cannot be read \(ENOTDIR\)/],
  ] as const) {
    const environment = { ...tree.place.environment, XDG_RUNTIME_DIR: tree.path(name) }
    await assert.rejects(loggingIn(tree, request, environment), { code: 'credentials', message, hint: /--authfile/ })
  }
  assert.equal(existsSync(tree.path('gone')), false)
})

const silent: Prompt = {
  user: () => assert.fail('asked'),
  password: () => assert.fail('asked'),
}
