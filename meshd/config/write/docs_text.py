"""Longer texts of docs/configuration.md."""

FILES = """\
## Several files

The configuration can be spread over several files, and parts of it can be switched on by name:

```yaml
include:                # merged first: what this file says overrides them
  - providers/*.yaml    # relative to this file's folder; in alphabetical order
  - ~/team/*.yaml

profiles:               # override everything else, if MESHD_PROFILE names them
  travel:
    pools:
      chat: {strategy: cost-first}
```

- **`conf.d`**: every `.yaml`, `.yml`, `.toml` and `.json` file in the folder `conf.d` next to a file named `mesh.yaml`
  (or `mesh.toml`, …) overrides it, in alphabetical order. Hidden files and files with other extensions are ignored, as
  are links to `/dev/null`. A file that cannot be read is an error, also if it only matches a pattern of `include`.
- **`MESHD_PROFILE=travel,home`** in the daemon's environment switches profiles on, in this order. Profiles that are not
  in use are still checked for keys and types. A profile can be spread over several files; it cannot include files, or
  have profiles.
- **Merging**: maps are merged key by key; everything else, including lists, is replaced. An empty value leaves a map
  unchanged.
- Each file is read only once, at its first occurrence. Files that include each other are an error, as are more than
  256 files, more than 8 levels, and more than 8 MiB. `${env:…}` is not resolved in the paths of included files.
- Relative paths in `secrets` start at the main file's folder. Write all others in full: they start where the daemon was
  started.
- Each of these files, like the main file, has to be one that only root and the daemon's own user can change
  ([security.md](security.md)). The daemon watches all of them, and notices new files that match.
- Error messages name the file and the line. `meshctl config files` lists the files and profiles in use;
  `meshctl config show --origins` shows where each value is written.
"""
