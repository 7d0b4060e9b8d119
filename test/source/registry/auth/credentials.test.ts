import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { ForerunError } from '../../../../src/errors.ts'
import { credentialSource } from '../../../../src/source/registry/auth/credentials.ts'
import { authTree, entry, lookUp, quiet } from '../auth-files.ts'

const ann = { user: 'ann', password: 'secret' }
const reference = { domain: 'registry.example', path: 'team/app' }

test('the places are looked at one after the other', async () => {
  const places: [string, Record<string, string>][] = [
    ['/xdg/containers/auth.json', { XDG_RUNTIME_DIR: 'xdg' }],
    ['/config/containers/auth.json', { XDG_CONFIG_HOME: 'config' }],
    ['/docker/config.json', { DOCKER_CONFIG: 'docker' }],
    ['/root/.dockercfg', {}],
    ['/etc/containers/auth.json', {}],
  ]
  const files = places.map(([path], index) => {
    const auths = { 'registry.example': entry(`user${index}`, 'secret') }
    return [path, path.endsWith('cfg') ? auths : { auths }]
  })
  using tree = authTree(Object.fromEntries(files))
  const named = places.flatMap(([, words]) => Object.entries(words).map(([key, value]) => [key, tree.path(value)]))
  const environment = { ...tree.place.environment, ...Object.fromEntries(named) }
  for (const [index, [path]] of places.entries()) {
    const found = await lookUp(tree, 'registry.example', { environment })
    assert.deepEqual(found, { credentials: { user: `user${index}`, password: 'secret' }, place: path })
    rmSync(tree.path(path))
  }
  assert.equal(await lookUp(tree, 'registry.example', { environment }), undefined)
})

test('without directories in the environment, the places are those of the user', async () => {
  const paths = [
    '/run/containers/7/auth.json',
    '/root/.config/containers/auth.json',
    '/root/.docker/config.json',
    '/root/.dockercfg',
  ]
  const auths = { 'registry.example': entry('ann', 'secret') }
  using tree = authTree(Object.fromEntries(paths.map((path) => [path, path.endsWith('cfg') ? auths : { auths }])))
  for (const path of paths) {
    assert.equal((await lookUp(tree, 'registry.example', { uid: 7 }))?.place, path)
    rmSync(tree.path(path))
  }
})

test('a user whom nobody knows has no home to look in', { skip: process.getuid?.() !== 0 }, async () => {
  const module = new URL('../../../../src/source/registry/auth/auth-places.ts', import.meta.url).href
  const script = `const { authPlaces } = await import('${module}')
    process.setuid(54321)
    console.log(JSON.stringify(authPlaces(undefined).map(({ path }) => path)))`
  const words = ['--input-type=module', '-e', script]
  const { stdout } = await promisify(execFile)(process.execPath, words, { env: { PATH: process.env.PATH } })
  assert.deepEqual(JSON.parse(stdout), ['/run/containers/54321/auth.json', '/etc/containers/auth.json'])
})

test('a file that is named stands in place of all', async () => {
  using tree = authTree({
    '/one.json': { auths: { 'one.example': entry('ann', 'secret') } },
    '/two.json': { auths: { 'two.example': entry('bob', 'secret') } },
    '/etc/containers/auth.json': { auths: { 'three.example': entry('carl', 'secret') } },
  })
  const environment = { ...tree.place.environment, REGISTRY_AUTH_FILE: tree.path('one.json') }
  assert.equal((await lookUp(tree, 'one.example', { environment }))?.place, '/one.json')
  assert.equal(await lookUp(tree, 'three.example', { environment }), undefined)
  const both = { environment, authfile: tree.path('two.json') }
  assert.equal((await lookUp(tree, 'two.example', both))?.place, '/two.json')
  assert.equal(await lookUp(tree, 'one.example', both), undefined)
})

test('a file that is named and is not there is an error, and one that was not named is none', async () => {
  using tree = authTree({})
  const message = new RegExp(`there is no file ${tree.path('gone.json')}`)
  const authfile = tree.path('gone.json')
  await assert.rejects(lookUp(tree, 'registry.example', { authfile }), { code: 'credentials', message, hint: /login/ })
  const environment = { ...tree.place.environment, REGISTRY_AUTH_FILE: authfile }
  await assert.rejects(lookUp(tree, 'registry.example', { environment }), { code: 'credentials', message })
  assert.equal(await lookUp(tree, 'registry.example'), undefined)
})

test('the longest of the keys that fit is taken, whatever the order of the file', async () => {
  const auths = {
    'registry.example': entry('whole', 'secret'),
    'registry.example/team/app': entry('app', 'secret'),
    'registry.example/team': entry('team', 'secret'),
    'registry.example:5000': entry('port', 'secret'),
  }
  using tree = authTree({ '/etc/containers/auth.json': { auths } })
  for (const [name, user] of [
    ['registry.example/team/app', 'app'],
    ['registry.example/team/app/deeper', 'app'],
    ['registry.example/team/apple', 'team'],
    ['registry.example/team', 'team'],
    ['registry.example/teams/app', 'whole'],
    ['registry.example', 'whole'],
    ['registry.example:5000/team/app', 'port'],
  ] as const) {
    assert.deepEqual((await lookUp(tree, name))?.credentials, { user, password: 'secret' }, name)
  }
  for (const name of ['sub.registry.example/team', 'registry.example.evil/team', 'registry.example:443/team']) {
    assert.equal(await lookUp(tree, name), undefined, name)
  }
})

test('older spellings of a registry are understood', async () => {
  const spellings: [string, string][] = [
    ['https://registry.example/v1/', 'registry.example/team/app'],
    ['https://registry.example/v2/', 'registry.example/team/app'],
    ['http://registry.example', 'registry.example/team/app'],
    ['https://index.docker.io/v1/', 'docker.io/library/etcd'],
    ['index.docker.io', 'docker.io/library/etcd'],
    ['https://registry-1.docker.io', 'docker.io/library/etcd'],
    ['docker.io', 'docker.io/library/etcd'],
  ]
  for (const [key, name] of spellings) {
    using tree = authTree({ '/etc/containers/auth.json': { auths: { [key]: entry('ann', 'secret') } } })
    assert.deepEqual((await lookUp(tree, name))?.credentials, ann, key)
    assert.equal(await lookUp(tree, 'other.example/team/app'), undefined, key)
  }
  using tree = authTree({ '/root/.dockercfg': { 'registry.example/v1/': entry('ann', 'secret') } })
  assert.deepEqual((await lookUp(tree, 'registry.example/team/app'))?.credentials, ann)
})

test('an exact key goes before an older spelling', async () => {
  const auths = { 'https://index.docker.io/v1/': entry('old', 'secret'), 'docker.io': entry('ann', 'secret') }
  using tree = authTree({ '/etc/containers/auth.json': { auths } })
  assert.deepEqual((await lookUp(tree, 'docker.io/library/etcd'))?.credentials, ann)
})

test('of an entry the password may hold anything', async () => {
  const kinds: [object, object][] = [
    [entry('ann', 'a:b::c'), { user: 'ann', password: 'a:b::c' }],
    [entry('änn', 'pässwörd 🔑'), { user: 'änn', password: 'pässwörd 🔑' }],
    [{ auth: Buffer.from('ann:secret\0\0').toString('base64') }, ann],
    [{ auth: 'YW5uOnNl\nY3JldA==\n' }, ann],
    [{ auth: 'YW5uOnNlY3JldA' }, ann],
    [{ username: 'ann', password: 'secret', email: 'a@b' }, ann],
    [{ auth: Buffer.from('00000000-0000:').toString('base64'), identitytoken: 'token' }, { identityToken: 'token' }],
  ]
  for (const [stored, credentials] of kinds) {
    using tree = authTree({ '/etc/containers/auth.json': { auths: { 'registry.example': stored } } })
    assert.deepEqual((await lookUp(tree, 'registry.example'))?.credentials, credentials)
  }
})

test('an entry without a secret says nothing, and the next place is looked at', async () => {
  for (const stored of [{}, null, { auth: '' }, { auth: null }, entry('ann', ''), entry('', 'x'), { email: 'a@b' }]) {
    using tree = authTree({
      '/root/.docker/config.json': { auths: { 'registry.example/team': stored } },
      '/etc/containers/auth.json': { auths: { 'registry.example': entry('ann', 'secret') } },
    })
    assert.deepEqual((await lookUp(tree, 'registry.example/team'))?.credentials, ann)
  }
})

test('an empty file, and one with nothing of use, have no credentials', async () => {
  for (const content of ['', ' \n', '{}', '\uFEFF{}', '{"auths":null}', '{"auths":{}}', '{"HttpHeaders":{"a":"b"}}']) {
    using tree = authTree({ '/etc/containers/auth.json': content })
    assert.equal(await lookUp(tree, 'registry.example'), undefined)
  }
})

test('a malformed file is one error that names it and quotes nothing', async () => {
  const secret = 'aGlkZGVuOnZlcnlzZWNyZXQ='
  const contents: [string, RegExp][] = [
    [`{"auths":{"registry.example":{"auth":"${secret}"}`, /not JSON/],
    [`auth=${secret}`, /not JSON/],
    ['{"a":verysecret}', /not JSON/],
    [`"${secret}"`, /not an object/],
    [`["${secret}"]`, /not an object/],
    ['7', /not an object/],
    [`{"auths":"${secret}"}`, /auths: not an object/],
    [`{"auths":["${secret}"]}`, /auths: not an object/],
    [`{"auths":{"registry.example":"${secret}"}}`, /auths\.registry\.example: not an object/],
    [`{"auths":{"registry.example":["${secret}"]}}`, /auths\.registry\.example: not an object/],
    [`{"auths":{"registry.example":{"auth":["${secret}"]}}}`, /auths\.registry\.example\.auth: not a string/],
    [`{"auths":{"registry.example":{"identitytoken":{"${secret}":1}}}}`, /identitytoken: not a string/],
    [`{"auths":{"registry.example":{"auth":"!${secret}"}}}`, /entry 'registry\.example'.*not USER:PASSWORD in base64/],
    [`{"auths":{"registry.example":{"auth":"${btoa('verysecret')}"}}}`, /not USER:PASSWORD/],
    [`{"auths":{"registry.example":{"auth":"${btoa('verysecret:\xff')}"}}}`, /not USER:PASSWORD/],
    [`{"credHelpers":{"registry.example":["${secret}"]}}`, /credHelpers\.registry\.example: not a string/],
    [`{"credsStore":{"a":"${secret}"}}`, /credsStore: not a string/],
  ]
  for (const [content, message] of contents) {
    for (const path of ['/etc/containers/auth.json', '/root/.docker/config.json']) {
      using tree = authTree({ [path]: content })
      const error = await lookUp(tree, 'registry.example').then(
        () => undefined,
        (failure: unknown) => failure,
      )
      assert.ok(error instanceof ForerunError, content)
      assert.equal(error.code, 'credentials')
      assert.match(error.message, message)
      assert.match(error.message, new RegExp(tree.path(path)))
      assert.ok(error.hint)
      assert.doesNotMatch(told(error), /verysecret|aGlkZGVu|dmVyeXNl/, content)
    }
  }
})

test('a place that cannot be read is an error, a directory above that is a file is none', async () => {
  using tree = authTree({ '/root/.docker': 'a file' })
  assert.equal(await lookUp(tree, 'registry.example'), undefined)
  mkdirSync(tree.path('etc/containers/auth.json'), { recursive: true })
  await assert.rejects(lookUp(tree, 'registry.example'), { code: 'credentials', message: /cannot be read \(EISDIR\)/ })
})

test('of what is for root alone, others do without; of their own files they do not', {
  skip: process.getuid?.() !== 0,
}, async () => {
  using tree = authTree({ '/etc/containers/auth.json': {}, '/root/.docker/config.json': {} })
  chmodSync(tree.root, 0o755)
  chmodSync(tree.path('etc/containers/auth.json'), 0o600)
  try {
    process.seteuid?.(65_534)
    assert.equal(await lookUp(tree, 'registry.example'), undefined)
    process.seteuid?.(0)
    chmodSync(tree.path('root/.docker/config.json'), 0o600)
    process.seteuid?.(65_534)
    await assert.rejects(lookUp(tree, 'registry.example'), { code: 'credentials', message: /EACCES/ })
  } finally {
    process.seteuid?.(0)
  }
})

test('credentials on the command line go before all files, and to their own registry alone', async () => {
  using tree = authTree({ '/etc/containers/auth.json': { auths: { 'mirror.example': entry('bob', 'other') } } })
  const source = credentialSource({ ...tree.place, creds: 'ann:sec:ret', registry: 'registry.example' })
  const { context } = quiet()
  assert.deepEqual(await source(reference, context), { user: 'ann', password: 'sec:ret' })
  assert.deepEqual(await source({ domain: 'mirror.example', path: 'a' }, context), { user: 'bob', password: 'other' })
  assert.equal(await source({ domain: 'third.example', path: 'a' }, context), undefined)
})

test('a password that the command line lacks is asked for once, when it is needed', async () => {
  const asked: string[] = []
  const askPassword = async (user: string, registry: string) => {
    asked.push(`${user} ${registry}`)
    return 'secret'
  }
  const source = credentialSource({ creds: 'ann', askPassword })
  assert.deepEqual(asked, [])
  const { context } = quiet()
  const found = await Promise.all([source(reference, context), source(reference, context)])
  assert.deepEqual([found, asked], [[ann, ann], ['ann registry.example']])
})

test('credentials on the command line that cannot be are refused at once', () => {
  for (const creds of ['', ':secret']) {
    assert.throws(() => credentialSource({ creds }), { code: 'usage', message: /no user/ })
  }
  assert.throws(() => credentialSource({ creds: 'ann' }), {
    code: 'usage',
    message: /no terminal/,
    hint: /USER:PASSWORD/,
  })
})

test('what was looked at is told, and never a secret', async () => {
  using tree = authTree({ '/etc/containers/auth.json': { auths: { 'registry.example': entry('ann', 'secret') } } })
  const { context, events } = quiet()
  const source = credentialSource(tree.place)
  await source(reference, context)
  await source({ domain: 'other.example', path: 'a/b' }, context)
  assert.deepEqual(events, [
    {
      type: 'debug',
      message: 'credentials',
      fields: { for: 'registry.example/team/app', found: tree.path('etc/containers/auth.json') },
    },
    {
      type: 'debug',
      message: 'credentials',
      fields: {
        for: 'other.example/a/b',
        found: 'nothing',
        lookedAt: [
          tree.path('run/containers/0/auth.json'),
          tree.path('root/.config/containers/auth.json'),
          tree.path('root/.docker/config.json'),
          tree.path('root/.dockercfg'),
          tree.path('etc/containers/auth.json'),
        ],
      },
    },
  ])
})

/** All that an error could show, with its causes. */
function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const hint = error instanceof ForerunError ? error.hint : ''
  return `${error.stack} ${hint} ${error.cause === undefined ? '' : told(error.cause)}`
}
