/**
 * Mounts the root of a container that is an overlay. Nothing enables it: the drop-in of the service asks for it. Without
 * the default dependencies it is not ordered before local-fs.target, which a folder on a network is mounted after.
 */
export const mountUnitTemplate = `# Made by forerun for $NAME. Changes to this file are lost with the next update.
[Unit]
Description=Root file system of $NAME
DefaultDependencies=no
RequiresMountsFor=$FOLDER
After=systemd-remount-fs.service
Before=$NAME.service umount.target
Conflicts=umount.target

[Mount]
What=overlay
Where=$WHERE
Type=overlay
Options=$OPTIONS
`
