//! Programs beside the server that use all of the processor they are given.

use std::process::{Child, Command, Stdio};

/// They go on until this is dropped, or their input ends with this process.
pub(crate) struct Hogs(Vec<Child>);

impl Hogs {
    pub(crate) fn start(count: usize) -> Self {
        // A process each, so that the kernel shares the processors out as it does among programs.
        let hog = || {
            let mut hog = Command::new("sh");
            hog.args(["-c", "(while :; do :; done) & read _; kill $!"]).stdin(Stdio::piped()).spawn().unwrap()
        };
        Self((0..count).map(|_| hog()).collect())
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            drop(hog.stdin.take());
            let _ended = hog.wait();
        }
    }
}
