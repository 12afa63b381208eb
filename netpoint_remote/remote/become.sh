# shellcheck shell=sh
# Runs one script as the login user ("self") or as root ("root"), whatever shell the user logs in with.
#
# Called as: sh -c 'eval "$2"' sh WHO THIS-TEXT CHALLENGE. It speaks first, and nothing is sent to it before:
#   "\001CHALLENGE reader"      it reads what is below, or hands it to the shell of root that does;
#   "\001CHALLENGE password"    the same, but one line is to come first: the sudo password, or nothing.
# Then standard input brings, in this order:
#   1. one line: netpoint-remote SIZE NONCE;
#   2. SIZE bytes: the script;
#   3. the payload, which is left for the script to read.
# Standard output brings: a line "\001NONCE begin", the script's output and errors, "\n\001NONCE STATUS\n";
# or one line "\001CHALLENGE refused WORD" and what sudo said.
#
# The text travels in single quotes through bash, dash, csh and fish, with its comments cut off and its
# lines joined by blanks: it has no single quote, no exclamation mark, no doubled backslash, and ends
# every command with a semicolon. The password lives in this shell's memory and in a pipe, nowhere else:
# printf and read are the shell's own. It is tried exactly once, for a second failure may lock an account.
exec 2>&1;
case "$1" in
run)
    IFS=" " read -r mark size nonce;
    # a sudo that asked for no password after all has left its line for us
    if [ "${mark}" = netpoint-remote ]; then :; else IFS=" " read -r mark size nonce; fi;
    script=$(head -c "${size}"; echo .);
    printf "\001%s begin\n" "${nonce}";
    (set --; unset mark size nonce password; eval "${script%.}");
    printf "\n\001%s %s\n" "${nonce}" "$?";
    ;;
*)
    said="";
    word="";
    if [ "$1" = self ] || [ "$(id -u </dev/null || :)" = 0 ]; then
        printf "\001%s reader\n" "$3";
        exec sh -c "$2" sh run;
    elif [ -z "$(command -v sudo || :)" ]; then
        word=no-sudo;
    elif sudo -n true </dev/null 2>/dev/null; then
        printf "\001%s reader\n" "$3";
        exec sudo -n sh -c "$2" sh run;
    else
        printf "\001%s password\n" "$3";
        IFS= read -r password;
        if [ -z "${password}" ]; then
            word=needs-password;
            said=$(LC_ALL=C sudo -n true </dev/null 2>&1);
        elif said=$(printf "%s\n" "${password}" | LC_ALL=C sudo -k -S -p "" true 2>&1); then
            { printf "%s\n" "${password}"; exec cat; } | sudo -k -S -p "" sh -c "$2" sh run;
        else
            word=wrong-password;
        fi;
    fi;
    if [ -n "${word}" ]; then
        case "${said}" in
        *" tty"*) word=needs-tty; ;;
        *"not in the sudoers"* | *"may not run"* | *"not allowed"*) word=not-allowed; ;;
        *) ;;
        esac;
        printf "\001%s refused %s\n%s\n" "$3" "${word}" "${said}";
    fi;
    ;;
esac
