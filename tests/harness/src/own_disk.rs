//! A separate disk for one server, small enough to fill. A test can cut it from power at any time.
//!
//! The disk is mounted in the server's own mount namespace, at `disk` in its working directory. The mount and its loop
//! device end with the process, however it ends, so there is nothing to clean up.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Ability, Server, ServerBuilder, eventually};

/// The mount point, in the server's working directory.
const MOUNT_POINT: &str = "disk";

/// The image of an ext4 disk, in the server's working directory.
const IMAGE: &str = "disk.img";

/// The kernel removes the namespace after its last process has been waited for, and then the loop device.
const DETACH_BOUND: Duration = Duration::from_secs(20);

/// The type and size of the disk.
#[derive(Debug, Clone, Copy)]
pub enum OwnDisk {
    /// In memory; its content is lost when the server ends.
    Tmpfs {
        /// Its size.
        mebibytes: u32,
    },
    /// An ext4 image on a loop device. Its content survives a restart.
    ///
    /// During a test, only syncs bring the server's writes into the image: ext4 is set to commit every ten minutes
    /// instead of every five seconds, and the kernel writes back only data that is thirty seconds old. After an error
    /// of the file system it becomes read-only, as Debian's root disks do.
    Ext4 {
        /// Its size.
        mebibytes: u32,
    },
}

impl OwnDisk {
    /// The ability that it needs.
    #[must_use]
    pub const fn ability(self) -> Ability {
        match self {
            Self::Tmpfs { .. } => Ability::Mount,
            Self::Ext4 { .. } => Ability::LoopMount,
        }
    }

    /// A script that `sh` runs in the new namespace. Its arguments are the command that it becomes.
    fn script(self) -> String {
        let mount = match self {
            Self::Tmpfs { mebibytes } => format!("mount -t tmpfs -o size={mebibytes}m tmpfs {MOUNT_POINT}"),
            Self::Ext4 { mebibytes } => format!(
                "{{ [ -e {IMAGE} ] || {{ truncate -s {mebibytes}M {IMAGE} && mkfs.ext4 -q -F {IMAGE}; }}; }} && \
                 mount -o loop,commit=600,errors=remount-ro {IMAGE} {MOUNT_POINT}"
            ),
        };
        let hint = self.ability().hint();
        format!("{{ mkdir -p {MOUNT_POINT} && {mount}; }} || {{ echo '{hint}' >&2; exit 1; }}; exec \"$@\"")
    }
}

impl ServerBuilder {
    /// Puts the journal on a separate disk. Needs [`OwnDisk::ability`].
    #[must_use]
    pub fn on(self, disk: OwnDisk) -> Self {
        let namespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c"].map(OsString::from);
        self.through(namespace.into_iter().chain([disk.script().into(), "sh".into()]))
            .journal(format!("sqlite://{MOUNT_POINT}/data"))
    }
}

impl Server {
    /// The path of its [`OwnDisk`] for this process, valid while the server runs.
    #[must_use]
    pub fn own_disk(&self) -> PathBuf {
        let mount_point = self.working_directory().join(MOUNT_POINT);
        let inside = mount_point.strip_prefix("/").expect("temporary directories are absolute");
        Path::new("/proc").join(self.pid().to_string()).join("root").join(inside)
    }

    /// Makes its [`OwnDisk::Ext4`] report an error, after which it becomes read-only.
    ///
    /// # Panics
    /// When it has no such disk.
    #[track_caller]
    pub fn turn_read_only(&self) {
        let device = self.device();
        let name = device.0.file_name().expect("a device has a name");
        let trigger = Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error");
        fs::write(trigger, "1").expect("an ext4 lets root find an error");
    }

    #[track_caller]
    fn device(&self) -> LoopDevice {
        LoopDevice::of(&self.working_directory().join(IMAGE)).expect("the server has an image mounted")
    }

    /// Cuts the power: the process ends, and its [`OwnDisk::Ext4`] has only the data that had reached the device. The
    /// server does not start again by itself: [`Server::restart`].
    ///
    /// A real disk with a volatile cache keeps less: here, all data counts that was handed to the device, in any order.
    /// So this finds a missing sync. It does not find a disk or a file system that reports a sync that it did not do.
    ///
    /// # Panics
    /// When it has no such disk.
    #[track_caller]
    pub fn lose_power(&mut self) {
        let image = self.working_directory().join(IMAGE);
        let left = self.working_directory().join("left.img");
        self.suspend();
        // Waits until the kernel is not writing, so that the copy does not contain half of a write.
        let device = self.device();
        loop {
            let before = device.writes();
            copy_sparsely(&image, &left);
            if device.writes() == before {
                break;
            }
        }
        self.kill();
        wait_until_detached(&image);
        fs::rename(&left, &image).expect("the copy can replace the image");
    }

    /// Kills the process, and waits until its [`OwnDisk::Ext4`] can be mounted again. All written data is on it.
    #[track_caller]
    pub fn kill_and_unmount(&mut self) {
        self.kill();
        wait_until_detached(&self.working_directory().join(IMAGE));
    }
}

fn copy_sparsely(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--sparse=always").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} cannot be copied", from.display());
    let readable = fs::Permissions::from_mode(0o600);
    fs::set_permissions(to, readable).expect("a copy is ours");
}

/// If an image was mounted twice, the two mounts would overwrite each other.
fn wait_until_detached(image: &Path) {
    eventually("the image is detached", DETACH_BOUND, || LoopDevice::of(image).is_none());
}

/// A loop device in `/sys/block`.
struct LoopDevice(PathBuf);

impl LoopDevice {
    /// The loop device of this image.
    fn of(image: &Path) -> Option<Self> {
        let devices = fs::read_dir("/sys/block").expect("there is a sysfs").flatten();
        let attached = |device: &PathBuf| {
            fs::read_to_string(device.join("loop/backing_file")).is_ok_and(|file| Path::new(file.trim_end()) == image)
        };
        devices.map(|device| device.path()).find(attached).map(Self)
    }

    /// The number of writes that were started or completed.
    fn writes(&self) -> String {
        let statistics = fs::read_to_string(self.0.join("stat")).expect("a block device has statistics");
        let fields: Vec<&str> = statistics.split_whitespace().collect();
        // Writes completed, and everything in flight: https://docs.kernel.org/block/stat.html
        format!("{} done, {} in flight", fields[4], fields[8])
    }
}
