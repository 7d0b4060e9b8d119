import * as v from 'valibot'
import { absolutePath, dictionary, int64, object, oneOf, strings, uint16, uint32, uint64 } from './schema-types.ts'

const namespaces = v.pipe(
  v.array(
    object({
      type: oneOf('pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time'),
      path: v.exactOptional(absolutePath),
    }),
  ),
  // "If a namespaces field contains duplicated namespaces with same type, the runtime MUST generate an error."
  v.check((list) => new Set(list.map(({ type }) => type)).size === list.length, 'each type at most once'),
)

const device = v.pipe(
  object({
    type: oneOf('c', 'b', 'u', 'p'),
    path: absolutePath,
    major: v.exactOptional(int64),
    minor: v.exactOptional(int64),
    fileMode: v.exactOptional(uint32),
    uid: v.exactOptional(uint32),
    gid: v.exactOptional(uint32),
  }),
  v.check(
    ({ type, major, minor }) => type === 'p' || (major !== undefined && minor !== undefined),
    'major and minor unless its type is "p"',
  ),
)

const deviceRule = object({
  allow: v.boolean(),
  type: v.exactOptional(oneOf('a', 'c', 'b')),
  major: v.exactOptional(int64),
  minor: v.exactOptional(int64),
  access: v.exactOptional(v.pipe(v.string(), v.regex(/^[rwm]*$/, 'letters of "rwm"'))),
})

const memory = object({
  limit: v.exactOptional(int64),
  reservation: v.exactOptional(int64),
  swap: v.exactOptional(int64),
  kernel: v.exactOptional(int64),
  kernelTCP: v.exactOptional(int64),
  swappiness: v.exactOptional(uint64),
  disableOOMKiller: v.exactOptional(v.boolean()),
  useHierarchy: v.exactOptional(v.boolean()),
  checkBeforeUpdate: v.exactOptional(v.boolean()),
})

const cpu = object({
  shares: v.exactOptional(uint64),
  quota: v.exactOptional(int64),
  burst: v.exactOptional(uint64),
  period: v.exactOptional(uint64),
  realtimeRuntime: v.exactOptional(int64),
  realtimePeriod: v.exactOptional(uint64),
  cpus: v.exactOptional(v.string()),
  mems: v.exactOptional(v.string()),
  idle: v.exactOptional(int64),
})

const throttle = v.array(object({ major: int64, minor: int64, rate: uint64 }))

const blockIo = object({
  weight: v.exactOptional(uint16),
  leafWeight: v.exactOptional(uint16),
  weightDevice: v.exactOptional(
    v.array(
      object({
        major: int64,
        minor: int64,
        weight: v.exactOptional(uint16),
        leafWeight: v.exactOptional(uint16),
      }),
    ),
  ),
  throttleReadBpsDevice: v.exactOptional(throttle),
  throttleWriteBpsDevice: v.exactOptional(throttle),
  throttleReadIOPSDevice: v.exactOptional(throttle),
  throttleWriteIOPSDevice: v.exactOptional(throttle),
})

const resources = object({
  devices: v.exactOptional(v.array(deviceRule)),
  memory: v.exactOptional(memory),
  cpu: v.exactOptional(cpu),
  pids: v.exactOptional(object({ limit: v.exactOptional(int64) })),
  blockIO: v.exactOptional(blockIo),
  hugepageLimits: v.exactOptional(
    v.array(
      object({
        pageSize: v.pipe(v.string(), v.regex(/^[1-9]\d*[KMG]B$/, 'a size such as "2MB"')),
        limit: uint64,
      }),
    ),
  ),
  network: v.exactOptional(
    object({
      classID: v.exactOptional(uint32),
      priorities: v.exactOptional(v.array(object({ name: v.string(), priority: uint32 }))),
    }),
  ),
  rdma: v.exactOptional(
    dictionary(v.string(), object({ hcaHandles: v.exactOptional(uint32), hcaObjects: v.exactOptional(uint32) })),
  ),
  unified: v.exactOptional(dictionary(v.string(), v.string())),
})

const seccompAction = oneOf(
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
  'SCMP_ACT_NOTIFY',
)

const seccompRule = object({
  names: v.pipe(strings, v.minLength(1, 'a list with at least one call')),
  action: seccompAction,
  errnoRet: v.exactOptional(uint32),
  args: v.exactOptional(
    v.array(
      object({
        index: uint32,
        value: uint64,
        valueTwo: v.exactOptional(uint64),
        op: oneOf(
          'SCMP_CMP_NE',
          'SCMP_CMP_LT',
          'SCMP_CMP_LE',
          'SCMP_CMP_EQ',
          'SCMP_CMP_GE',
          'SCMP_CMP_GT',
          'SCMP_CMP_MASKED_EQ',
        ),
      }),
    ),
  ),
})

/** OCI runtime specification 1.2, "Seccomp". */
export const seccompSchema = object({
  defaultAction: seccompAction,
  defaultErrnoRet: v.exactOptional(uint32),
  architectures: v.exactOptional(
    v.array(v.pipe(v.string(), v.regex(/^SCMP_ARCH_[A-Z0-9_]+$/, 'a name such as SCMP_ARCH_X86_64'))),
  ),
  flags: v.exactOptional(strings),
  listenerPath: v.exactOptional(v.string()),
  listenerMetadata: v.exactOptional(v.string()),
  syscalls: v.exactOptional(v.array(seccompRule)),
})

const propagations = [
  'shared',
  'slave',
  'private',
  'unbindable',
  'rshared',
  'rslave',
  'rprivate',
  'runbindable',
] as const

const idMapping = object({ containerID: uint32, hostID: uint32, size: uint32 })

/** OCI runtime specification 1.2, "Linux Container Configuration". */
export const linuxSchema = object({
  uidMappings: v.exactOptional(v.array(idMapping)),
  gidMappings: v.exactOptional(v.array(idMapping)),
  namespaces: v.exactOptional(namespaces),
  timeOffsets: v.exactOptional(
    dictionary(
      oneOf('boottime', 'monotonic'),
      object({ secs: v.exactOptional(int64), nanosecs: v.exactOptional(uint32) }),
    ),
  ),
  devices: v.exactOptional(v.array(device)),
  cgroupsPath: v.exactOptional(v.string()),
  resources: v.exactOptional(resources),
  // Runtimes take the recursive words and an empty one too.
  rootfsPropagation: v.exactOptional(v.picklist(['', ...propagations])),
  seccomp: v.exactOptional(seccompSchema),
  sysctl: v.exactOptional(dictionary(v.string(), v.string())),
  maskedPaths: v.exactOptional(v.array(absolutePath)),
  readonlyPaths: v.exactOptional(v.array(absolutePath)),
  mountLabel: v.exactOptional(v.string()),
  intelRdt: v.exactOptional(
    object({
      closID: v.exactOptional(v.string()),
      l3CacheSchema: v.exactOptional(v.string()),
      memBwSchema: v.exactOptional(v.string()),
      enableCMT: v.exactOptional(v.boolean()),
      enableMBM: v.exactOptional(v.boolean()),
    }),
  ),
  personality: v.exactOptional(object({ domain: oneOf('LINUX', 'LINUX32'), flags: v.exactOptional(strings) })),
})
