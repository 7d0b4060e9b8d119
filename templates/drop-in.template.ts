/**
 * What every unit gets beside what its image says. Delegation lets the runtime make the container's control group below
 * the unit's own; a runtime state left by a crash is deleted before the start, since it would make the start fail.
 */
export const dropInTemplate = `# Made by forerun for $NAME. Changes to this file are lost with the next update.
[Unit]
RequiresMountsFor=$FOLDERS

[Service]
Delegate=yes
ExecStartPre=$DELETE_STALE_STATE
`

/**
 * Of a unit that Project Atomic's tool made. Its container's control group is where its configuration puts it, and not the unit's,
 * so that nothing is delegated.
 */
export const adoptedDropInTemplate = `# Made by forerun for $NAME. Changes to this file are lost with the next update.
[Unit]
RequiresMountsFor=$FOLDERS

[Service]
ExecStartPre=$DELETE_STALE_STATE
`
