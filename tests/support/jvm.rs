//! Fetches Apache Kafka once per version and starts its classes and ours.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::place;
use super::process::run;

/// A release of Apache Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The newest there is.
    V4_4_0,
    /// The one that most tests run on.
    V4_3_1,
    /// The last of the 3.x line.
    V3_9_1,
}

impl Version {
    /// As Maven names it.
    pub fn number(self) -> &'static str {
        match self {
            Self::V4_4_0 => "4.4.0",
            Self::V4_3_1 => "4.3.1",
            Self::V3_9_1 => "3.9.1",
        }
    }

    /// Arguments for Maven, which decide what is fetched.
    fn coordinates(self) -> Vec<String> {
        let profiles = match self {
            // There are no kafka-tools of this release.
            Self::V4_4_0 => "log4j2",
            Self::V4_3_1 => "log4j2,tools",
            Self::V3_9_1 => "tools",
        };
        vec![format!("-Dkafka.version={}", self.number()), format!("-P{profiles}")]
    }
}

/// One version's jars, and our programs compiled against them.
#[derive(Debug)]
pub struct Parts {
    /// Which release these are.
    pub version: Version,
    libs: PathBuf,
    classes: PathBuf,
}

/// The parts of this version, fetched and compiled at the first call on this machine; an error names what is missing.
pub fn parts(version: Version) -> Result<&'static Parts, String> {
    static V4_4: OnceLock<Result<Parts, String>> = OnceLock::new();
    static V4_3: OnceLock<Result<Parts, String>> = OnceLock::new();
    static V3_9: OnceLock<Result<Parts, String>> = OnceLock::new();
    let cell = match version {
        Version::V4_4_0 => &V4_4,
        Version::V4_3_1 => &V4_3,
        Version::V3_9_1 => &V3_9,
    };
    cell.get_or_init(|| prepare(version)).as_ref().map_err(Clone::clone)
}

impl Parts {
    /// A Java command for a main class, which ends when this process does.
    pub fn java(&self, heap: &str, main: &str) -> Command {
        let mut command = Command::new("java");
        let logging = sources().join(match self.version {
            Version::V4_4_0 | Version::V4_3_1 => "log4j2.properties",
            Version::V3_9_1 => "log4j.properties",
        });
        command
            .arg(format!("-Xmx{heap}"))
            // Short lives on few cores: start quickly, collect simply.
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .arg(format!("-Dlog4j.configuration=file:{}", logging.display()))
            .arg("-cp")
            .arg(format!("{}:{}/*", self.classes.display(), self.libs.display()));
        command.arg(main);
        command
    }

    /// The same for a class that does not read standard input by itself.
    pub fn guarded(&self, heap: &str, main: &str) -> Command {
        let mut command = self.java(heap, "seqgate.Guarded");
        command.arg(main);
        command
    }
}

fn sources() -> PathBuf {
    place::sources("java")
}

fn prepare(version: Version) -> Result<Parts, String> {
    for tool in ["java", "javac"] {
        run(Command::new(tool).arg("-version")).map_err(|error| format!("there is no JDK: {error}"))?;
    }
    let home = place::kept().join(version.number());
    fs::create_dir_all(&home).unwrap();
    // Other test binaries may want the same at this moment.
    let _fetching = place::lock(&home.join("lock"));
    let libs = fetch(version, &home)?;
    let classes = compile(version, &home, &libs)?;
    Ok(Parts { version, libs, classes })
}

/// Fetches beside and renames, so that a directory with the final name is complete.
fn fetch(version: Version, home: &Path) -> Result<PathBuf, String> {
    let pom = sources().join("pom.xml");
    let libs = home.join(format!("libs-{:016x}", place::hash_of(&[&pom])));
    if libs.exists() {
        return Ok(libs);
    }
    run(Command::new("mvn").arg("-version")).map_err(|error| format!("there is no Maven: {error}"))?;
    let partial = empty(home.join("libs.partial"));
    let mut command = Command::new("mvn");
    command.args(["-q", "-B", "-f"]).arg(pom).args(version.coordinates());
    command.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", partial.display()));
    run(&mut command).map_err(|error| format!("Apache Kafka {} cannot be fetched: {error}", version.number()))?;
    fs::rename(&partial, &libs).unwrap();
    Ok(libs)
}

fn compile(version: Version, home: &Path, libs: &Path) -> Result<PathBuf, String> {
    let mut programs = place::files_in(&sources().join("src/seqgate"));
    if version == Version::V3_9_1 {
        // Its imports moved between the releases; the newer one decodes frames of both.
        programs.retain(|program| program.file_name() != Some(OsStr::new("Decode.java")));
    }
    let classes = home.join(format!("classes-{:016x}", place::hash_of(&programs)));
    if classes.exists() {
        return Ok(classes);
    }
    let partial = empty(home.join("classes.partial"));
    let mut command = Command::new("javac");
    command.args(["--release", "17", "-proc:none", "-cp"]).arg(format!("{}/*", libs.display()));
    command.arg("-d").arg(&partial).args(&programs);
    run(&mut command).map_err(|error| format!("the Java programs do not compile: {error}"))?;
    fs::rename(&partial, &classes).unwrap();
    Ok(classes)
}

fn empty(place: PathBuf) -> PathBuf {
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    place
}
