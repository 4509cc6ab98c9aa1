//! The adapter `directory`: a folder for each site, and an archive of it for each backup.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use dormouse_aggregates::hosting::BackupId;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::archive;
use crate::demo::hosting::ports::{Backups, Call, PortError, Provisioner, SiteOrder};

/// The page of a site that has no other content yet.
const PAGE: &str = "index.html";

/// Names of files that are longer are hashed: file systems allow 255 bytes, and endings need some of them.
const NAME_BYTES: usize = 128;

/// Makes sites and backups in folders of this machine. What it has reported is synced to disk.
#[derive(Clone, Debug)]
pub(in crate::demo::hosting) struct DirectoryAdapter {
    sites: PathBuf,
    backups: PathBuf,
}

impl DirectoryAdapter {
    pub(in crate::demo::hosting) fn new(sites: &Path, backups: &Path) -> Self {
        Self { sites: sites.to_owned(), backups: backups.to_owned() }
    }

    /// The document root of a site. It has the name of the site's id, not of its domain: another site may have the
    /// domain already while this one is removed.
    fn root(&self, site: &SiteOrder) -> PathBuf {
        self.sites.join(file_name(site.site.as_str()))
    }
}

#[async_trait]
impl Provisioner for DirectoryAdapter {
    async fn provision(&self, site: &SiteOrder, _: &Call) -> Result<(), PortError> {
        let (root, page) = (self.root(site), page(site));
        blocking(move || make_root(&root, page.as_bytes())).await
    }

    async fn remove(&self, site: &SiteOrder, _: &Call) -> Result<(), PortError> {
        let root = self.root(site);
        blocking(move || remove(&root)).await
    }
}

#[async_trait]
impl Backups for DirectoryAdapter {
    async fn make(&self, backup: &BackupId, site: &SiteOrder, call: &Call) -> Result<u64, PortError> {
        let (root, folder) = (self.root(site), self.backups.clone());
        let (name, cancelled) = (file_name(backup.as_str()), call.cancelled.clone());
        blocking(move || back_up(&root, &folder, &name, cancelled)).await
    }
}

/// Disks block, so what uses them runs on a thread of its own. It is not interrupted: what it does is complete, or can
/// be done again.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, PortError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| PortError(error.to_string())),
        Err(error) => Err(PortError(error.to_string())),
    }
}

fn make_root(root: &Path, page: &[u8]) -> io::Result<()> {
    create_folder(root)?;
    let path = root.join(PAGE);
    if path.exists() {
        return Ok(());
    }
    write_whole(root, PAGE, |file| file.write_all(page))
}

fn remove(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => match root.parent() {
            Some(parent) if parent.exists() => sync_folder(parent),
            _ => Ok(()),
        },
    }
}

/// The size of the backup. An earlier attempt may have made it.
fn back_up(root: &Path, folder: &Path, name: &str, cancelled: CancellationToken) -> io::Result<u64> {
    let name = format!("{name}.tar.zst");
    let path = folder.join(&name);
    if let Ok(made) = fs::metadata(&path) {
        return Ok(made.len());
    }
    if !root.is_dir() {
        return Err(io::Error::new(ErrorKind::NotFound, "the site has no folder"));
    }
    create_folder(folder)?;
    write_whole(folder, &name, |file| archive::write(root, file, cancelled))?;
    Ok(fs::metadata(&path)?.len())
}

/// Writes a file under another name, syncs it, and renames it. So a file of this name is whole, whatever was killed.
fn write_whole(folder: &Path, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let unfinished = folder.join(format!(".{name}.{}.part", Uuid::new_v4().simple()));
    let written = File::create_new(&unfinished).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&unfinished, folder.join(name))
    });
    if let Err(error) = written {
        // What cannot be removed now is hidden, and in nobody's way.
        let _left_behind = fs::remove_file(&unfinished);
        return Err(error);
    }
    sync_folder(folder)
}

fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    folder.parent().filter(|parent| parent.exists()).map_or(Ok(()), sync_folder)
}

/// A file that was created or renamed is safe when its folder is synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The name of a file for an id, which may have any characters but slashes and control characters.
fn file_name(id: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if id.len() <= NAME_BYTES && !id.starts_with('.') && id.bytes().all(is_plain) {
        return id.to_owned();
    }
    // No plain id has a tilde.
    format!("~{}", blake3::hash(id.as_bytes()).to_hex())
}

/// Nothing here needs escaping: a domain has letters, digits, dashes and dots.
fn page(site: &SiteOrder) -> String {
    let domain = &site.domain;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{domain}</title>\n<h1>{domain}</h1>\n\
         <p>This site is ready for its content.</p>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use dormouse_aggregates::hosting::{Domain, SiteId, SiteType, TenantId};
    use tempfile::TempDir;

    use super::*;

    fn site() -> SiteOrder {
        SiteOrder {
            site: SiteId::new("s-1").unwrap(),
            tenant: TenantId::new("ada").unwrap(),
            domain: Domain::new("example.org").unwrap(),
            site_type: SiteType::Static,
        }
    }

    fn call() -> Call {
        Call { key: "k-1".to_owned(), cancelled: CancellationToken::new() }
    }

    fn adapter(directory: &TempDir) -> DirectoryAdapter {
        DirectoryAdapter::new(&directory.path().join("sites"), &directory.path().join("backups"))
    }

    #[tokio::test]
    async fn a_site_is_made_once_and_keeps_its_content() {
        let directory = TempDir::new().unwrap();
        let adapter = adapter(&directory);
        adapter.provision(&site(), &call()).await.unwrap();
        let page = directory.path().join("sites/s-1/index.html");
        assert!(fs::read_to_string(&page).unwrap().contains("<h1>example.org</h1>"));
        fs::write(&page, "mine").unwrap();
        adapter.provision(&site(), &call()).await.unwrap();
        assert_eq!(fs::read_to_string(&page).unwrap(), "mine");
        assert_eq!(fs::read_dir(page.parent().unwrap()).unwrap().count(), 1, "nothing unfinished stays");
    }

    #[tokio::test]
    async fn a_removed_site_can_be_removed_again() {
        let directory = TempDir::new().unwrap();
        let adapter = adapter(&directory);
        adapter.remove(&site(), &call()).await.unwrap();
        adapter.provision(&site(), &call()).await.unwrap();
        for _ in 0..2 {
            adapter.remove(&site(), &call()).await.unwrap();
            assert!(!directory.path().join("sites/s-1").exists());
        }
    }

    #[tokio::test]
    async fn a_backup_restores_the_site() {
        let directory = TempDir::new().unwrap();
        let (adapter, backup) = (adapter(&directory), BackupId::new("b-1").unwrap());
        adapter.provision(&site(), &call()).await.unwrap();
        let root = directory.path().join("sites/s-1");
        fs::create_dir(root.join("images")).unwrap();
        fs::write(root.join("images/cat"), vec![7; 1 << 20]).unwrap();
        let bytes = adapter.make(&backup, &site(), &call()).await.unwrap();
        let archive = directory.path().join("backups/b-1.tar.zst");
        assert_eq!(fs::metadata(&archive).unwrap().len(), bytes);
        assert_eq!(adapter.make(&backup, &site(), &call()).await.unwrap(), bytes, "it is not made again");

        let restored = directory.path().join("restored");
        tar::Archive::new(zstd::Decoder::new(File::open(archive).unwrap()).unwrap()).unpack(&restored).unwrap();
        assert_eq!(fs::read(restored.join("images/cat")).unwrap(), vec![7; 1 << 20]);
        assert_eq!(fs::read(restored.join(PAGE)).unwrap(), fs::read(root.join(PAGE)).unwrap());
    }

    #[tokio::test]
    async fn a_cancelled_backup_leaves_nothing_behind() {
        let directory = TempDir::new().unwrap();
        let (adapter, backup) = (adapter(&directory), BackupId::new("b-1").unwrap());
        adapter.provision(&site(), &call()).await.unwrap();
        let cancelled = call();
        cancelled.cancelled.cancel();
        adapter.make(&backup, &site(), &cancelled).await.unwrap_err();
        assert_eq!(fs::read_dir(directory.path().join("backups")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_site_without_a_folder_has_no_backup() {
        let directory = TempDir::new().unwrap();
        let error = adapter(&directory).make(&BackupId::new("b-1").unwrap(), &site(), &call()).await.unwrap_err();
        assert_eq!(error.to_string(), "the site has no folder");
    }

    #[test]
    fn every_id_is_a_file_name_of_its_own() {
        assert_eq!(file_name("s-1.x_Y"), "s-1.x_Y");
        for id in [".hidden", "~x", "größe", "a b", &"a".repeat(129)] {
            let name = file_name(id);
            assert!(name.starts_with('~') && name.len() == 65 && !name.contains('/'), "{id}: {name}");
        }
    }
}
