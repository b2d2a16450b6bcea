//! Scenario files: commands at the left edge, what they must come to indented below them.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::world::World;

/// One command, and the lines below it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Comments and empty lines ahead of it.
    before: Vec<String>,
    command: String,
    line: usize,
    expected: Vec<String>,
}

/// A scenario file, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scenario {
    pub(crate) steps: Vec<Step>,
    after: Vec<String>,
}

impl Scenario {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut scenario = Self::default();
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                scenario.after.push(line.to_string());
            } else if line.starts_with(' ') {
                let step = scenario.steps.last_mut().filter(|_| scenario.after.is_empty());
                let step = step.ok_or_else(|| format!("line {}: an expectation below no command", at + 1))?;
                step.expected.push(line.trim().to_string());
            } else {
                let before = std::mem::take(&mut scenario.after);
                scenario.steps.push(Step { before, command: line.to_string(), line: at + 1, expected: Vec::new() });
            }
        }
        Ok(scenario)
    }

    /// What every command comes to.
    pub(crate) fn run(&self) -> Result<Vec<Vec<String>>, String> {
        let mut world = World::default();
        let outcome = |step: &Step, world: &mut World| {
            world.step(&step.command).map_err(|problem| format!("line {}: {}: {problem}", step.line, step.command))
        };
        let mut found = Vec::new();
        for step in &self.steps {
            found.push(outcome(step, &mut world)?);
        }
        world.finish().map_err(|problem| format!("at the end: {problem}"))?;
        Ok(found)
    }

    /// The first step that came to something else than is written below it.
    pub(crate) fn compare(&self, found: &[Vec<String>]) -> Result<(), String> {
        for (step, found) in self.steps.iter().zip(found) {
            if step.expected != *found {
                let block = |lines: &[String]| lines.iter().map(|line| format!("\n      {line}")).collect::<String>();
                return Err(format!(
                    "line {}: {}\n   expected{}\n   found{}",
                    step.line,
                    step.command,
                    block(&step.expected),
                    block(found)
                ));
            }
        }
        Ok(())
    }

    fn written_with(&self, found: &[Vec<String>]) -> String {
        let mut lines = Vec::new();
        for (step, found) in self.steps.iter().zip(found) {
            lines.extend(step.before.iter().cloned());
            lines.push(step.command.clone());
            lines.extend(found.iter().map(|line| format!("   {line}")));
        }
        lines.extend(self.after.iter().cloned());
        lines.join("\n") + "\n"
    }

    /// Every scenario that differs from this one in a single expectation: one changed, or one left out.
    pub(crate) fn spoilt(&self) -> Vec<Self> {
        let mut spoilt = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            for line in 0..step.expected.len() {
                let mut changed = self.clone();
                changed.steps[at].expected[line].push('?');
                spoilt.push(changed);
                let mut missing = self.clone();
                missing.steps[at].expected.remove(line);
                spoilt.push(missing);
            }
        }
        spoilt
    }
}

/// The directory of the scenario files.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

/// All scenario files, sorted.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory())
        .expect("scenario files are beside this one")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

/// Runs one file and compares, or rewrites what it expects.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let at = |problem| format!("{}: {problem}", path.file_name().unwrap_or_default().display());
    let text = fs::read_to_string(path).map_err(|problem| at(problem.to_string()))?;
    let scenario = Scenario::parse(&text).map_err(at)?;
    let found = scenario.run().map_err(at)?;
    if env::var_os("GOLDEN_REWRITE").is_some() {
        return fs::write(path, scenario.written_with(&found)).map_err(|problem| at(problem.to_string()));
    }
    scenario.compare(&found).map_err(at)
}
