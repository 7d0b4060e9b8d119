import * as v from 'valibot'
import { linuxSchema } from './linux-schema.ts'
import {
  absolutePath,
  capability,
  dictionary,
  integer,
  object,
  oneOf,
  strings,
  uint32,
  uint64,
} from './schema-types.ts'

/**
 * OCI runtime specification 1.2, "Configuration", for Linux. Properties that it does not name are let through, as it
 * demands ("Extensibility"). Other systems' sections (windows, solaris, vm, zos) are not looked at.
 */
export type RuntimeConfiguration = v.InferOutput<typeof runtimeSchema>
export type Mount = v.InferOutput<typeof mountSchema>
export type Seccomp = NonNullable<NonNullable<RuntimeConfiguration['linux']>['seccomp']>
export type SeccompRule = NonNullable<Seccomp['syscalls']>[number]

const user = object({
  uid: v.exactOptional(uint32, 0),
  gid: v.exactOptional(uint32, 0),
  umask: v.exactOptional(uint32),
  additionalGids: v.exactOptional(v.array(uint32)),
})

const capabilities = object({
  bounding: v.exactOptional(v.array(capability)),
  effective: v.exactOptional(v.array(capability)),
  inheritable: v.exactOptional(v.array(capability)),
  permitted: v.exactOptional(v.array(capability)),
  ambient: v.exactOptional(v.array(capability)),
})

const rlimit = object({
  type: v.pipe(v.string(), v.regex(/^RLIMIT_[A-Z]+$/, 'a name such as RLIMIT_NOFILE')),
  soft: uint64,
  hard: uint64,
})

const scheduler = object({
  policy: oneOf('SCHED_OTHER', 'SCHED_FIFO', 'SCHED_RR', 'SCHED_BATCH', 'SCHED_ISO', 'SCHED_IDLE', 'SCHED_DEADLINE'),
  nice: v.exactOptional(integer(-20, 19)),
  priority: v.exactOptional(integer(-(2 ** 31), 2 ** 31 - 1)),
  flags: v.exactOptional(strings),
  runtime: v.exactOptional(uint64),
  deadline: v.exactOptional(uint64),
  period: v.exactOptional(uint64),
})

const ioPriority = object({
  class: oneOf('IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE'),
  priority: v.exactOptional(integer(0, 7)),
})

const processSchema = object({
  terminal: v.exactOptional(v.boolean()),
  consoleSize: v.exactOptional(object({ height: uint64, width: uint64 })),
  cwd: absolutePath,
  env: v.exactOptional(strings),
  args: v.pipe(strings, v.minLength(1, 'a list with the program to run')),
  user: v.exactOptional(user),
  rlimits: v.exactOptional(v.array(rlimit)),
  apparmorProfile: v.exactOptional(v.string()),
  selinuxLabel: v.exactOptional(v.string()),
  capabilities: v.exactOptional(capabilities),
  noNewPrivileges: v.exactOptional(v.boolean()),
  oomScoreAdj: v.exactOptional(integer(-1000, 1000)),
  scheduler: v.exactOptional(scheduler),
  ioPriority: v.exactOptional(ioPriority),
})

const idMapping = object({ containerID: uint32, hostID: uint32, size: uint32 })

const mountSchema = object({
  destination: absolutePath,
  type: v.exactOptional(v.string()),
  source: v.exactOptional(v.string()),
  options: v.exactOptional(strings),
  uidMappings: v.exactOptional(v.array(idMapping)),
  gidMappings: v.exactOptional(v.array(idMapping)),
})

const hook = object({
  path: absolutePath,
  args: v.exactOptional(strings),
  env: v.exactOptional(strings),
  timeout: v.exactOptional(integer(1, 2 ** 31 - 1)),
})

const hooks = object({
  prestart: v.exactOptional(v.array(hook)),
  createRuntime: v.exactOptional(v.array(hook)),
  createContainer: v.exactOptional(v.array(hook)),
  startContainer: v.exactOptional(v.array(hook)),
  poststart: v.exactOptional(v.array(hook)),
  poststop: v.exactOptional(v.array(hook)),
})

export const runtimeSchema = object({
  ociVersion: v.pipe(
    v.string(),
    v.regex(/^[01]\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/, 'a version up to 1.x, such as "1.0.2"'),
  ),
  root: object({ path: v.string(), readonly: v.exactOptional(v.boolean()) }),
  process: processSchema,
  hostname: v.exactOptional(v.string()),
  domainname: v.exactOptional(v.string()),
  mounts: v.exactOptional(v.array(mountSchema)),
  hooks: v.exactOptional(hooks),
  annotations: v.exactOptional(dictionary(v.string(), v.string())),
  linux: v.exactOptional(linuxSchema),
})
