import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultConfiguration } from '../../src/bundle/default-configuration.ts'
import { parseRuntimeConfiguration } from '../../src/bundle/runtime-configuration.ts'
import { imageConfiguration, imageFiles } from './image-in-memory.ts'

const places = {
  volumes: '/var/lib/web',
  readOnly: false,
  seccomp: undefined,
  privilegedFiles: [],
  hostKind: (path: string) => (path === '/etc/hosts' ? 'file' : undefined),
} as const
const files = imageFiles({
  '/etc/passwd': 'root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n',
  '/etc/group': 'extra:x:70:web\n',
  '/data/': { mode: 0o750, uid: 33, gid: 34 },
})

test('the process is what the image says', () => {
  const image = imageConfiguration({
    entrypoint: ['/entry'],
    cmd: ['serve', '--all'],
    env: ['A=b=c', 'broken', '=x'],
    workingDir: 'srv/app',
    user: 'web',
  })
  const { configuration } = defaultConfiguration(image, files, places)
  const { args, env, cwd, user, terminal } = configuration.process
  assert.deepEqual(args, ['/entry', 'serve', '--all'])
  assert.deepEqual(env, ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'A=b=c'])
  assert.equal(cwd, '/srv/app')
  assert.deepEqual(user, { uid: 33, gid: 34, additionalGids: [70] })
  assert.equal(terminal, false)
})

test("the image's own PATH stays, and without a working directory it is the root", () => {
  const { process } = defaultConfiguration(
    imageConfiguration({ cmd: ['x'], env: ['PATH=/bin'] }),
    files,
    places,
  ).configuration
  assert.deepEqual(process.env, ['PATH=/bin'])
  assert.equal(process.cwd, '/')
  assert.deepEqual(process.user, { uid: 0, gid: 0 })
})

test("what is made passes the check of an image's own configuration", () => {
  const { configuration } = defaultConfiguration(imageConfiguration({ cmd: ['x'], volumes: ['/data'] }), files, places)
  assert.deepEqual(parseRuntimeConfiguration(configuration, 'config.json'), configuration)
})

test("it runs in the host's network and with its host name, apart in all else", () => {
  const { linux } = defaultConfiguration(imageConfiguration({ cmd: ['x'] }), files, places).configuration
  assert.deepEqual(linux?.namespaces?.map(({ type }) => type).sort(), ['cgroup', 'ipc', 'mount', 'pid'])
})

test('an image without command is refused', () => {
  assert.throws(() => defaultConfiguration(imageConfiguration(), files, places), {
    code: 'configuration',
    message: 'The image says no command: it has neither entrypoint nor cmd',
  })
})

test('volumes are mounted without set-uid programs and devices, and the image says owner and mode', () => {
  const image = imageConfiguration({ cmd: ['x'], volumes: ['/data'] })
  const { configuration, volumes } = defaultConfiguration(image, files, places)
  assert.deepEqual(
    configuration.mounts?.find(({ destination }) => destination === '/data'),
    {
      destination: '/data',
      type: 'bind',
      source: '/var/lib/web/data',
      options: ['rbind', 'rw', 'nosuid', 'nodev'],
    },
  )
  assert.deepEqual(volumes, [{ destination: '/data', source: '/var/lib/web/data', mode: 0o750, uid: 33, gid: 34 }])
})

test('a volume takes the place of a default mount, and comes before the mounts below it', () => {
  const volumes = ['/etc', '/var', '/tmp', '/a/b/c', '/a']
  const { mounts = [] } = defaultConfiguration(imageConfiguration({ cmd: ['x'], volumes }), files, places).configuration
  const order = mounts.map(({ destination }) => destination)
  assert.equal(new Set(order).size, order.length)
  for (const [index, path] of order.entries()) {
    const hidden = order.slice(0, index).filter((earlier) => earlier.startsWith(`${path}/`))
    assert.deepEqual(hidden, [], `mounted before ${path}`)
  }
  assert.ok(['/etc/hosts', '/var/tmp', '/dev/pts'].every((path) => order.includes(path)))
})

test('a default mount below a volume is found through a link of the image, too', () => {
  const image = { ...files, realPath: (path: string) => path.replace(/^\/run/, '/var/lib/run') }
  const { mounts = [] } = defaultConfiguration(
    imageConfiguration({ cmd: ['x'], volumes: ['/var', '/var/lib'] }),
    image,
    places,
  ).configuration
  const order = mounts.map(({ destination }) => destination)
  assert.ok(order.indexOf('/run') > order.indexOf('/var/lib'))
})

for (const readOnly of [false, true]) {
  test(`the root is ${readOnly ? 'read-only' : 'writable'} as it was asked for`, () => {
    const { configuration } = defaultConfiguration(imageConfiguration({ cmd: ['x'] }), files, { ...places, readOnly })
    assert.deepEqual(configuration.root, { path: 'rootfs', readonly: readOnly })
  })
}

test("only those of the host's name files that exist are bound, read-only", () => {
  const { configuration } = defaultConfiguration(imageConfiguration({ cmd: ['x'] }), files, places)
  const binds = configuration.mounts?.filter(({ type }) => type === 'bind')
  assert.deepEqual(
    binds?.map(({ destination }) => destination),
    ['/etc/hosts'],
  )
  assert.ok(binds?.[0]?.options?.includes('ro'))
})

test('what the image holds in a writable directory is copied up; a directory that it lacks has its mode from the mount', () => {
  const image = imageFiles({ '/run/': { mode: 0o755, uid: 0, gid: 0 } })
  const { mounts } = defaultConfiguration(imageConfiguration({ cmd: ['x'] }), image, places).configuration
  const options = (destination: string) => mounts?.find((mount) => mount.destination === destination)?.options
  assert.deepEqual(options('/run'), ['nosuid', 'nodev', 'mode=0755', 'tmpcopyup'])
  assert.deepEqual(options('/tmp'), ['nosuid', 'nodev', 'mode=1777'])
})

test('annotations tell what else the image says, and its labels win', () => {
  const image = {
    ...imageConfiguration({
      cmd: ['x'],
      exposedPorts: ['80/tcp', '53/udp'],
      stopSignal: 'SIGQUIT',
      labels: { 'org.opencontainers.image.author': 'label', custom: '1' },
    }),
    author: 'field',
    created: '2026-01-01T00:00:00Z',
  }
  assert.deepEqual(defaultConfiguration(image, files, places).configuration.annotations, {
    'org.opencontainers.image.os': 'linux',
    'org.opencontainers.image.architecture': 'amd64',
    'org.opencontainers.image.author': 'label',
    'org.opencontainers.image.created': '2026-01-01T00:00:00Z',
    'org.opencontainers.image.stopSignal': 'SIGQUIT',
    'org.opencontainers.image.exposedPorts': '53/udp,80/tcp',
    custom: '1',
  })
})

test('processes gain no privileges, unless the image has programs for that, which is told', () => {
  const image = imageConfiguration({ cmd: ['x'] })
  const plain = defaultConfiguration(image, files, places)
  assert.equal(plain.configuration.process.noNewPrivileges, true)
  assert.deepEqual(plain.notices, [])
  const privilegedFiles = ['/bin/su', '/bin/mount', '/usr/bin/passwd', '/usr/bin/ping']
  const { configuration, notices } = defaultConfiguration(image, files, { ...places, privilegedFiles })
  assert.equal(configuration.process.noNewPrivileges, false)
  assert.match(notices.join(), /\/bin\/su, \/bin\/mount, \/usr\/bin\/passwd and 1 more$/)
})
