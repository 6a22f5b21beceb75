//! A page of documentation for every code: what it means, why it matters, a wrong and a right example, how to mend it.

use super::Code;

impl Code {
    /// Returns the code's page, in Markdown, with one fenced example under "Wrong" and one under "Right".
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Syntax => include_str!("../../docs/codes/syntax.md"),
            Self::TooLarge => include_str!("../../docs/codes/too-large.md"),
            Self::UndefinedAnchor => include_str!("../../docs/codes/undefined-anchor.md"),
            Self::RecursiveAlias => include_str!("../../docs/codes/recursive-alias.md"),
            Self::UnusedAnchor => include_str!("../../docs/codes/unused-anchor.md"),
            Self::EmptyFile => include_str!("../../docs/codes/empty-file.md"),
            Self::NotAPipeline => include_str!("../../docs/codes/not-a-pipeline.md"),
            Self::StepsAndGraph => include_str!("../../docs/codes/steps-and-graph.md"),
            Self::UnsupportedVersion => include_str!("../../docs/codes/unsupported-version.md"),
            Self::UnknownKey => include_str!("../../docs/codes/unknown-key.md"),
            Self::MisplacedKey => include_str!("../../docs/codes/misplaced-key.md"),
            Self::MissingKey => include_str!("../../docs/codes/missing-key.md"),
            Self::DuplicateMappingKey => include_str!("../../docs/codes/duplicate-mapping-key.md"),
            Self::WrongType => include_str!("../../docs/codes/wrong-type.md"),
            Self::BadValue => include_str!("../../docs/codes/bad-value.md"),
            Self::ControlCharacter => include_str!("../../docs/codes/control-character.md"),
            Self::EmptyList => include_str!("../../docs/codes/empty-list.md"),
            Self::DuplicateStepKey => include_str!("../../docs/codes/duplicate-step-key.md"),
            Self::CollidingStepKeys => include_str!("../../docs/codes/colliding-step-keys.md"),
            Self::UnknownStep => include_str!("../../docs/codes/unknown-step.md"),
            Self::SelfReference => include_str!("../../docs/codes/self-reference.md"),
            Self::Cycle => include_str!("../../docs/codes/cycle.md"),
            Self::SeveralParents => include_str!("../../docs/codes/several-parents.md"),
            Self::BadEdge => include_str!("../../docs/codes/bad-edge.md"),
            Self::ReferenceAcrossWait => include_str!("../../docs/codes/reference-across-wait.md"),
            Self::ImageWithoutEffect => include_str!("../../docs/codes/image-without-effect.md"),
            Self::RedundantDependency => include_str!("../../docs/codes/redundant-dependency.md"),
            Self::InvalidImage => include_str!("../../docs/codes/invalid-image.md"),
            Self::UnpinnedImage => include_str!("../../docs/codes/unpinned-image.md"),
            Self::BadEnvName => include_str!("../../docs/codes/bad-env-name.md"),
            Self::UnknownPolicy => include_str!("../../docs/codes/unknown-policy.md"),
            Self::MissingPolicyKey => include_str!("../../docs/codes/missing-policy-key.md"),
            Self::UnknownRunner => include_str!("../../docs/codes/unknown-runner.md"),
            Self::ServicesOnHost => include_str!("../../docs/codes/services-on-host.md"),
            Self::TimeoutTooLong => include_str!("../../docs/codes/timeout-too-long.md"),
            Self::RelativeWorkdir => include_str!("../../docs/codes/relative-workdir.md"),
            Self::MissingFolder => include_str!("../../docs/codes/missing-folder.md"),
            Self::UnmatchedPath => include_str!("../../docs/codes/unmatched-path.md"),
            Self::ShellSyntax => include_str!("../../docs/codes/shell-syntax.md"),
            Self::Shellcheck => include_str!("../../docs/codes/shellcheck.md"),
            Self::SecretLiteral => include_str!("../../docs/codes/secret-literal.md"),
            Self::SecretConsent => include_str!("../../docs/codes/secret-consent.md"),
            Self::YamlTrap => include_str!("../../docs/codes/yaml-trap.md"),
        }
    }
}
