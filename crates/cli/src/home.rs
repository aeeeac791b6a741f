//! The home folder: where it is, and the key in it.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use telemesh::KeySet;

use crate::args::Global;
use crate::failure::Failure;

/// The key file's name in the home folder.
const KEY: &str = "key";

/// The keys of the home folder. They, and the folder, are made if they are missing.
pub(crate) fn keys(global: &Global) -> Result<KeySet, Failure> {
    Ok(telemesh::load_or_create_keys(directory(global)?.join(KEY))?)
}

/// The home folder: what was asked for, or the platform's.
pub(crate) fn directory(global: &Global) -> Result<PathBuf, Failure> {
    match &global.home {
        Some(chosen) if !chosen.as_os_str().is_empty() => Ok(chosen.clone()),
        _ => default_directory().ok_or_else(|| {
            Failure::Failed("there is no home directory on this machine: name a folder with --home".into())
        }),
    }
}

/// Where the platform wants programs to keep what is theirs.
fn default_directory() -> Option<PathBuf> {
    let data = if cfg!(windows) {
        absolute(env::var_os("APPDATA"))?
    } else if cfg!(target_os = "macos") {
        env::home_dir()?.join("Library/Application Support")
    } else {
        // The XDG base directory specification: a relative path is to be ignored.
        match absolute(env::var_os("XDG_DATA_HOME")) {
            Some(data) => data,
            None => env::home_dir().filter(|home| home.is_absolute())?.join(".local/share"),
        }
    };
    Some(data.join("telemesh"))
}

fn absolute(path: Option<OsString>) -> Option<PathBuf> {
    path.map(PathBuf::from).filter(|path| path.is_absolute())
}
