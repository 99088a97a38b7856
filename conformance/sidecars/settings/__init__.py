"""A mesh's settings as the user has them: put under the suite's own, and looked for in a pod."""
