//! A disk that one server has for itself: small enough to fill, and cut from power whenever a test likes.
//!
//! It is mounted in a mount namespace of the server's own, at `disk` in its working directory. So nothing has to be
//! cleaned up: the mount, and the loop device with it, go with the process, however that ends.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Ability, Server, ServerBuilder, eventually};

/// Where it is mounted, in the server's working directory.
const MOUNT_POINT: &str = "disk";

/// The image of an ext4 disk, in the server's working directory.
const IMAGE: &str = "disk.img";

/// A namespace is torn down after its last process has been waited for, and the loop device after that.
const DETACH_BOUND: Duration = Duration::from_secs(20);

/// What kind of disk, and how large.
#[derive(Debug, Clone, Copy)]
pub enum OwnDisk {
    /// In memory, gone with the server.
    Tmpfs {
        /// Its size.
        mebibytes: u32,
    },
    /// An ext4 image on a loop device; it is there again after a restart.
    ///
    /// Nothing gets from the server's writes into the image by itself for as long as a test takes: ext4 is told to
    /// commit every ten minutes instead of every five seconds, and the kernel writes back what is thirty seconds old.
    /// Only syncing does. An error of the file system makes it read-only, as on Debian's root disks.
    Ext4 {
        /// Its size.
        mebibytes: u32,
    },
}

impl OwnDisk {
    /// What it takes of the machine.
    #[must_use]
    pub const fn ability(self) -> Ability {
        match self {
            Self::Tmpfs { .. } => Ability::Mount,
            Self::Ext4 { .. } => Ability::LoopMount,
        }
    }

    /// Run by `sh` in the new namespace, with the command to become as arguments.
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
    /// Keeps the journal on a disk of the server's own. Takes [`OwnDisk::ability`].
    #[must_use]
    pub fn on(self, disk: OwnDisk) -> Self {
        let namespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c"].map(OsString::from);
        self.through(namespace.into_iter().chain([disk.script().into(), "sh".into()]))
            .journal(format!("sqlite://{MOUNT_POINT}/data"))
    }
}

impl Server {
    /// Its [`OwnDisk`], for this process to reach; for as long as the server runs.
    #[must_use]
    pub fn own_disk(&self) -> PathBuf {
        let mount_point = self.working_directory().join(MOUNT_POINT);
        let inside = mount_point.strip_prefix("/").expect("temporary directories are absolute");
        Path::new("/proc").join(self.pid().to_string()).join("root").join(inside)
    }

    /// Makes its [`OwnDisk::Ext4`] find an error, upon which it turns read-only.
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

    /// Cuts the machine from power: the process is gone, and of its [`OwnDisk::Ext4`] there is what had reached the
    /// device. It does not start again by itself: [`Server::restart`].
    ///
    /// What had reached the device is more than what a disk keeps that has a volatile cache: whatever was handed to it,
    /// in whatever order. So this shows a sync that is missing, not a disk, or a file system, that lies about one.
    ///
    /// # Panics
    /// When it has no such disk.
    #[track_caller]
    pub fn lose_power(&mut self) {
        let image = self.working_directory().join(IMAGE);
        let left = self.working_directory().join("left.img");
        self.suspend();
        // Whatever the kernel may have been about to write by itself must not be half of it in the copy.
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

    /// SIGKILL, and waits until its [`OwnDisk::Ext4`] can be mounted again: all that was written is on it.
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

/// Mounted twice, an image would be two disks that overwrite each other.
fn wait_until_detached(image: &Path) {
    eventually("the image is detached", DETACH_BOUND, || LoopDevice::of(image).is_none());
}

/// A loop device in `/sys/block`.
struct LoopDevice(PathBuf);

impl LoopDevice {
    /// The one that this image is attached to.
    fn of(image: &Path) -> Option<Self> {
        let devices = fs::read_dir("/sys/block").expect("there is a sysfs").flatten();
        let attached = |device: &PathBuf| {
            fs::read_to_string(device.join("loop/backing_file")).is_ok_and(|file| Path::new(file.trim_end()) == image)
        };
        devices.map(|device| device.path()).find(attached).map(Self)
    }

    /// Writes so far, begun or done.
    fn writes(&self) -> String {
        let statistics = fs::read_to_string(self.0.join("stat")).expect("a block device has statistics");
        let fields: Vec<&str> = statistics.split_whitespace().collect();
        // Writes completed, and everything in flight: https://docs.kernel.org/block/stat.html
        format!("{} done, {} in flight", fields[4], fields[8])
    }
}
