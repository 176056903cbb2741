//! What the variables of a CI system say about the build that it runs.

/// Variables with the number of a pull or merge request. A value with more than a number, such as a URL or a ref, ends in it or has it as a
/// segment; a value without a number, such as `false`, says that there is none.
const PULL_REQUEST: [&str; 21] = [
    // GitHub, Gitea and Forgejo: refs/pull/12/merge
    "GITHUB_REF",
    // GitLab
    "CI_MERGE_REQUEST_IID",
    // Bitbucket
    "BITBUCKET_PR_ID",
    // Azure: of GitHub, and of Azure Repos
    "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER",
    "SYSTEM_PULLREQUEST_PULLREQUESTID",
    // CircleCI: https://github.com/acme/web/pull/12
    "CIRCLE_PR_NUMBER",
    "CIRCLE_PULL_REQUEST",
    // Drone, Woodpecker
    "DRONE_PULL_REQUEST",
    "CI_COMMIT_PULL_REQUEST",
    // Travis, Buildkite, AppVeyor
    "TRAVIS_PULL_REQUEST",
    "BUILDKITE_PULL_REQUEST",
    "APPVEYOR_PULL_REQUEST_NUMBER",
    // Jenkins: multibranch, and the pull request builder
    "CHANGE_ID",
    "ghprbPullId",
    // Semaphore, Cirrus, Bitrise
    "SEMAPHORE_GIT_PR_NUMBER",
    "CIRRUS_PR",
    "BITRISE_PULL_REQUEST",
    // CodeBuild: pr/12
    "CODEBUILD_WEBHOOK_TRIGGER",
    // Netlify, Vercel
    "REVIEW_ID",
    "VERCEL_GIT_PULL_REQUEST_ID",
    // Render, Heroku and others
    "PULL_REQUEST_NUMBER",
];

/// Variables with the branch that is built, those of a pull request's source branch first.
const BRANCH: [&str; 25] = [
    "GITHUB_HEAD_REF",
    "GITHUB_REF",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "CI_COMMIT_SOURCE_BRANCH",
    "CI_COMMIT_BRANCH",
    "CI_COMMIT_REF_NAME",
    "BITBUCKET_BRANCH",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH",
    "BUILD_SOURCEBRANCH",
    "CIRCLE_BRANCH",
    "DRONE_SOURCE_BRANCH",
    "DRONE_BRANCH",
    "TRAVIS_PULL_REQUEST_BRANCH",
    "TRAVIS_BRANCH",
    "BUILDKITE_BRANCH",
    "APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH",
    "APPVEYOR_REPO_BRANCH",
    "CHANGE_BRANCH",
    "BRANCH_NAME",
    "SEMAPHORE_GIT_BRANCH",
    "CIRRUS_BRANCH",
    "BITRISE_GIT_BRANCH",
    "CODEBUILD_WEBHOOK_HEAD_REF",
    "VERCEL_GIT_COMMIT_REF",
    "CF_PAGES_BRANCH",
];

/// Variables with the default branch of the repository. GitHub, for one, has none.
const DEFAULT_BRANCH: [&str; 5] = [
    "CI_DEFAULT_BRANCH",
    "DRONE_REPO_BRANCH",
    "CI_REPO_DEFAULT_BRANCH",
    "BUILDKITE_PIPELINE_DEFAULT_BRANCH",
    "CIRRUS_DEFAULT_BRANCH",
];

/// Variables that are set when a tag is built; then those of branches have the tag's name.
const TAG: [&str; 3] = ["CI_COMMIT_TAG", "BUILDKITE_TAG", "TRAVIS_TAG"];

/// What the variables of a CI system say. Nothing outside of CI.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CiVariables {
    /// The number of the pull or merge request.
    pub pull_request: Option<u64>,
    /// The branch, for a pull request its source.
    pub branch: Option<String>,
    /// The default branch of the repository.
    pub default_branch: Option<String>,
}

impl CiVariables {
    /// Reads them through `variable`, which returns no empty values.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_tag = TAG.iter().any(|name| variable(name).is_some());
        Self {
            pull_request: PULL_REQUEST.iter().find_map(|name| pull_request(&variable(name)?)),
            branch: BRANCH.iter().filter(|_| !is_tag).find_map(|name| branch(&variable(name)?)),
            default_branch: DEFAULT_BRANCH.iter().find_map(|name| branch(&variable(name)?)),
        }
    }
}

/// The number of a pull request: `12`, `pr/12`, `refs/pull/12/merge` or `https://…/pull/12`; `None` for another text.
fn pull_request(value: &str) -> Option<u64> {
    const BEFORE: [&str; 5] = ["pull", "pulls", "pr", "merge_requests", "pull-requests"];
    if value.starts_with("refs/") && !value.starts_with("refs/pull/") {
        return None;
    }
    let segments: Vec<&str> = value.split('/').collect();
    match segments[..] {
        [number] => number.parse().ok(),
        _ => segments.windows(2).find(|pair| BEFORE.contains(&pair[0])).and_then(|pair| pair[1].parse().ok()),
    }
}

/// The name of a branch: `main`, `refs/heads/main`; `None` for another ref, such as a tag.
fn branch(value: &str) -> Option<String> {
    let name = value.strip_prefix("refs/heads/").unwrap_or(value);
    Some(name).filter(|name| !name.starts_with("refs/")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Option<u64>, Option<String>) {
        let found =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let ci = CiVariables::read(found);
        (ci.pull_request, ci.branch)
    }

    #[test]
    fn pull_request_and_branch_of_each_ci_system_are_read() {
        let branch = |name: &str| Some(name.to_owned());
        for (variables, expected) in [
            (&[("GITHUB_REF", "refs/pull/12/merge"), ("GITHUB_HEAD_REF", "a/b")][..], (Some(12), branch("a/b"))),
            (&[("GITHUB_REF", "refs/heads/a/b")], (None, branch("a/b"))),
            (&[("GITHUB_REF", "refs/heads/pr/12")], (None, branch("pr/12"))),
            (&[("GITHUB_REF", "refs/tags/v1")], (None, None)),
            (&[("CI_MERGE_REQUEST_IID", "12"), ("CI_COMMIT_REF_NAME", "a/b")], (Some(12), branch("a/b"))),
            (&[("CI_COMMIT_TAG", "v1"), ("CI_COMMIT_REF_NAME", "v1")], (None, None)),
            (&[("BITBUCKET_PR_ID", "12"), ("BITBUCKET_BRANCH", "a/b")], (Some(12), branch("a/b"))),
            (&[("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "12")], (Some(12), None)),
            (&[("BUILD_SOURCEBRANCH", "refs/heads/a/b")], (None, branch("a/b"))),
            (&[("BUILD_SOURCEBRANCH", "refs/tags/v1")], (None, None)),
            (&[("CIRCLE_PULL_REQUEST", "https://github.com/acme/web/pull/12")], (Some(12), None)),
            (&[("TRAVIS_PULL_REQUEST", "false"), ("TRAVIS_BRANCH", "main")], (None, branch("main"))),
            (&[("CODEBUILD_WEBHOOK_TRIGGER", "pr/12")], (Some(12), None)),
            (&[("CODEBUILD_WEBHOOK_TRIGGER", "branch/12")], (None, None)),
            (&[("REVIEW_ID", "12")], (Some(12), None)),
            (&[("HOME", "/home/ann")], (None, None)),
        ] {
            assert_eq!(read(variables), expected, "{variables:?}");
        }
    }
}
